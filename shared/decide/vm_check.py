"""The check of a virtual machine: everything that stands between it and its backups, of what was
seen of it (`shared.model.inspection`). Whether it is protected already does not matter to it."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import datetime, timedelta

from shared.decide.machine import choose_consistency
from shared.decide.vm_disks import disk_findings
from shared.decide.vm_guest import guest_findings
from shared.decide.vm_network import network_findings
from shared.decide.vm_sizes import may_be_torn
from shared.model.inspection import Inspected, Lock
from shared.model.machine import Consistency, Luns, Machine
from shared.model.vm_check import Finding, Protectors, Report, State, ok, problem, warning

POINTS = 500
"""Most restore points of a machine, in whatever group."""
POINTS_SOON = 450
POINTS_AN_HOUR = 3
_READER = "Give the app's identity the role Reader there, or look at it in the portal."


def check_machine(
    seen: Inspected,
    protectors: Protectors,
    now: datetime,
    wanted: Consistency = Consistency.APPLICATION,
    luns: Luns | None = None,
) -> Report:
    """`wanted` is what its policy wants, `luns` the disks that its item backs up."""
    likely = choose_consistency(wanted, seen.machine, 0).consistency
    findings = [
        *(_as_needed(finding, wanted) for finding in _of_guest(seen, wanted)),
        *disk_findings(seen.disks, luns, likely),
        *_moment(seen.machine),
        *_points(seen, now),
        *_locks(seen),
        _protection(protectors),
        *_unseen(seen),
    ]
    return Report(machine=seen.machine.url, findings=tuple(findings))


def _of_guest(seen: Inspected, wanted: Consistency) -> Iterator[Finding]:
    """What the machine itself, and its way to Azure, contribute."""
    yield from guest_findings(seen, wanted)
    for interface in seen.interfaces:
        yield from network_findings(interface, seen.machine.region)


def _as_needed(finding: Finding, wanted: Consistency) -> Finding:
    """Crash-consistent backups do without the guest: nothing in it is more than a warning."""
    if wanted is Consistency.CRASH and finding.state is State.PROBLEM:
        return replace(finding, state=State.WARNING)
    return finding


def _moment(machine: Machine) -> Iterator[Finding]:
    if may_be_torn(machine):
        yield warning(
            "CrashMayBeTorn",
            "consistency",
            f"it is a {machine.size} with several data disks: a crash-consistent restore point of "
            "it may not be consistent across its disks",
            "Keep the machine running and its agent ready, so that its guest takes part.",
        )


def _points(seen: Inspected, now: datetime) -> Iterator[Finding]:
    count = len(seen.points_taken)
    lately = sum(1 for at in seen.points_taken if now - at < timedelta(hours=1))
    if count >= POINTS_SOON:
        full = problem if count >= POINTS else warning
        yield full(
            "PointsLimit",
            "restore points",
            f"{count} of {POINTS} restore points exist",
            "Delete those that nobody needs: `az restore-point collection list-all` shows where "
            "they are, `az restore-point delete` removes one.",
        )
    elif lately >= POINTS_AN_HOUR:
        yield warning(
            "PointsRate",
            "restore points",
            f"{lately} were taken within the hour, and Azure allows {POINTS_AN_HOUR}",
            "Nothing: the next one is put off until Azure allows it.",
        )
    else:
        yield ok("PointsFew", "restore points", f"{count} of {POINTS} restore points exist")


def _locks(seen: Inspected) -> Iterator[Finding]:
    """Each once, on the groups that hold points and on that where the next one is made. A lock on
    Azure Backup's own groups breaks backups; so does one that forbids writing."""
    azures = {lock for group in seen.points_groups if group.is_azures for lock in group.locks}
    every = [lock for group in seen.points_groups for lock in group.locks]
    for lock in dict.fromkeys([*every, *seen.locks]):
        yield _locked(lock, is_azures=lock in azures)


def _locked(lock: Lock, *, is_azures: bool) -> Finding:
    kind, _, where = lock.scope.strip("/").rpartition("/")
    told = problem if is_azures or lock.level == "ReadOnly" else warning
    forbids = (
        "restore points cannot be made or deleted"
        if lock.level == "ReadOnly"
        else "expired restore points cannot be deleted, until there is no room for others"
    )
    return told(
        "GroupLocked",
        f"{'resource group' if kind.endswith('resourcegroups') else 'subscription'} {where}",
        f"lock {lock.name} ({lock.level}): {forbids}",
        f"az lock delete --ids {lock.scope}/providers/Microsoft.Authorization/locks/{lock.name}",
    )


def _protection(by: Protectors) -> Finding:
    if by.vault and not by.own_vault:
        return problem(
            "ProtectedElsewhere",
            "protection",
            f"the vault {by.vault} protects it, and a machine has one vault and one policy",
            "Stop its protection there before it is protected in another vault.",
        )
    if by.item:
        return ok("Protected", "protection", f"it is protected as item {by.item}")
    return ok("NotProtected", "protection", "nobody protects it yet")


def _unseen(seen: Inspected) -> Iterator[Finding]:
    for each in seen.unseen:
        yield warning("NotSeen", each.part, f"it could not be looked at: {each.reason}", _READER)
