"""`vm check`: what it says of a machine's guest, disks, restore points and protection."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.decide.machine import choose_consistency
from shared.decide.vm_check import POINTS, POINTS_SOON, check_machine
from shared.model.ids import DiskUrl, ItemId
from shared.model.inspection import Lock, PointsGroup, SeenExtension, Unseen
from shared.model.machine import OS_LUN, Agent, Consistency, Luns, MachineDisk, Os, Power
from shared.model.vm_check import Protectors, Report, State, ok, warning
from shared.model.vm_snapshot import Outcome, SnapshotStatus
from tests.unit.vm_seen import (
    GROUP,
    NOW,
    VM,
    checked,
    codes,
    disk,
    machine,
    only,
    powered_off,
    seen,
)

PROBLEM, WARNING = State.PROBLEM, State.WARNING
TEBIBYTE = 1024**4


def test_of_a_healthy_machine_everything_is_ok_and_nothing_has_a_fix() -> None:
    report = checked(seen())
    assert report.state is State.OK
    assert {each.code for each in report.findings} == {
        "Running",
        "AgentReady",
        "ExtensionReady",
        "Consistent",
        "DisksReady",
        "NetworkOpen",
        "PointsFew",
        "NotProtected",
    }
    assert not any(each.fix for each in report.findings)


def test_a_report_is_as_bad_as_its_worst_finding() -> None:
    fine, doubt = ok("A", "a", "seen"), warning("B", "b", "seen", "fix")
    assert Report(machine=VM, findings=()).state is State.OK
    assert Report(machine=VM, findings=(fine, doubt)).state is State.WARNING


# ---------------------------------------------------------------- the guest


def test_a_machine_that_is_off_is_a_warning_and_its_silent_agent_is_none() -> None:
    report = checked(seen(powered_off(), extensions=()))
    assert codes(report) == {"NotRunning": WARNING, "LessConsistent": WARNING}
    assert f"az vm start --ids {VM}" in [each.fix for each in report.findings]


@pytest.mark.parametrize(
    ("system", "version", "found"),
    [
        (Os.WINDOWS, "2.6.1198.717", {"AgentTooOld": PROBLEM, "LessConsistent": WARNING}),
        (Os.WINDOWS, "2.6.1198.718", {}),
        (Os.WINDOWS, "2.10.0.0", {}),
        (Os.WINDOWS, "", {}),
        (Os.LINUX, "2.2.45", {"AgentTooOld": WARNING}),
        (Os.LINUX, "2.11.1.12", {}),
    ],
)
def test_versions_of_agents_are_compared_by_number(
    system: Os, version: str, found: dict[str, State]
) -> None:
    of = machine(os=system, agent=Agent(ready=True, version=version))
    assert codes(checked(seen(of))) == found


@pytest.mark.parametrize(("system", "words"), [(Os.WINDOWS, "RdAgent"), (Os.LINUX, "walinuxagent")])
def test_a_silent_agent_is_told_with_what_azure_says_and_how_to_wake_it(
    system: Os, words: str
) -> None:
    agent = Agent(ready=False, message="VM status blob is found but not yet populated.")
    found = only(checked(seen(machine(os=system, agent=agent))))
    assert (found.code, found.subject) == ("AgentNotReady", "agent")
    assert "not yet populated" in found.seen
    assert words in found.fix


def test_who_wants_crash_consistency_needs_no_guest() -> None:
    silent = machine(agent=Agent(ready=False))
    report = check_machine(seen(silent), Protectors(), NOW, wanted=Consistency.CRASH)
    assert codes(report) == {"AgentNotReady": WARNING}
    assert codes(checked(seen(silent))) == {"AgentNotReady": PROBLEM, "LessConsistent": WARNING}
    shared = seen(silent, disks=(disk(shared_by=2),))
    still = check_machine(shared, Protectors(), NOW, wanted=Consistency.CRASH)
    assert codes(still)["DiskShared"] is PROBLEM


def test_a_failed_extension_is_to_be_removed() -> None:
    failed = SeenExtension(
        name="VMSnapshotLinux", kind="VMSnapshotLinux", state="failed", message="no python"
    )
    found = only(checked(seen(machine(os=Os.LINUX), extensions=(failed,))))
    assert (found.code, "no python" in found.seen) == ("ExtensionFailed", True)
    assert f"az vm extension delete --ids {VM}/extensions/VMSnapshotLinux" in found.fix


def test_an_extension_under_another_name_is_known_by_its_kind() -> None:
    own = SeenExtension(name="backup", kind="VMSnapshot", state="failed")
    assert only(checked(seen(extensions=(own,)))).code == "ExtensionFailed"


def test_the_extensions_own_status_is_explained() -> None:
    status = SnapshotStatus(
        outcome=Outcome.FAILED,
        code=76,
        name="FailedRetryableSnapshotFailedNoNetwork",
        message="no answer",
        action="Open the way.",
    )
    failed = SeenExtension(name="VMSnapshot", kind="VMSnapshot", state="succeeded", status=status)
    found = only(checked(seen(extensions=(failed,))))
    assert (found.code, status.name in found.seen) == ("SnapshotFailed", True)
    assert found.fix.startswith("Open the way.")
    assert "168.63.129.16" in found.fix


def test_no_extension_yet_is_no_matter_and_another_one_that_failed_is_a_warning() -> None:
    other = SeenExtension(name="monitor", kind="AzureMonitor", state="failed", message="disk full")
    report = checked(seen(extensions=(other,)))
    assert codes(report) == {"OtherExtensionFailed": WARNING}
    assert "ExtensionAbsent" in {each.code for each in report.findings}


def test_a_machine_whose_last_change_failed() -> None:
    assert codes(checked(seen(provisioning="Failed"))) == {"ProvisioningFailed": PROBLEM}


def test_power_that_changes_is_looked_at_again() -> None:
    report = checked(seen(replace(machine(), power=Power.CHANGING)))
    assert codes(report) == {"PowerChanging": WARNING, "LessConsistent": WARNING}


# ---------------------------------------------------------------- disks


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"shared_by": 2}, "DiskShared"),
        ({"ephemeral": True}, "DiskEphemeral"),
        ({"url": None}, "DiskUnmanaged"),
        ({"exports": "DenyAll"}, "DiskNotExported"),
    ],
)
def test_disks_that_no_backup_can_hold(change: dict[str, object], code: str) -> None:
    of = seen(disks=(disk(), disk(3, **change)))
    found = only(checked(of))
    assert (found.code, found.subject) == (code, "disk data3")


def test_a_disk_that_is_left_out_is_no_problem() -> None:
    of = seen(disks=(disk(), disk(3, shared_by=2)))
    assert "--without 3" in only(checked(of)).fix
    assert checked(of, luns=Luns(numbers=frozenset({3}), excluded=True)).state is State.OK
    assert checked(of, luns=Luns(numbers=frozenset({OS_LUN}))).state is State.OK


@pytest.mark.parametrize(
    "change", [{"sku": "UltraSSD_LRS"}, {"sku": "PremiumV2_LRS"}, {"write_accelerated": True}]
)
def test_disks_that_crash_consistency_excludes(change: dict[str, object]) -> None:
    disks = (disk(), disk(0, **change))
    assert codes(checked(seen(disks=disks))) == {"DiskNotByCrash": WARNING}
    off = codes(checked(seen(powered_off(), disks=disks, extensions=())))
    assert off["DiskNotByCrash"] is PROBLEM


def test_disks_that_only_some_may_read_are_warnings() -> None:
    of = seen(disks=(disk(exports="AllowPrivate"), disk(0, entra_only=True)))
    assert codes(checked(of)) == {"DiskExportedPrivately": WARNING, "DiskNeedsSignIn": WARNING}


def test_more_than_azures_vaults_take_is_a_warning() -> None:
    many = tuple(disk(lun) for lun in range(33))
    assert codes(checked(seen(disks=(disk(), *many[:32])))) == {}
    assert codes(checked(seen(disks=(disk(), *many)))) == {"DisksBeyondVault": WARNING}
    large = disk(0, size_bytes=33 * TEBIBYTE)
    assert codes(checked(seen(disks=(disk(), large)))) == {"DisksBeyondVault": WARNING}


# ---------------------------------------------------------------- points, locks, protection


@pytest.mark.parametrize(
    ("count", "found"),
    [
        (POINTS_SOON - 1, {}),
        (POINTS_SOON, {"PointsLimit": WARNING}),
        (POINTS, {"PointsLimit": PROBLEM}),
    ],
)
def test_the_limit_of_restore_points(count: int, found: dict[str, State]) -> None:
    old = tuple(NOW - timedelta(days=1, minutes=at) for at in range(count))
    assert codes(checked(seen(points_taken=old))) == found


def test_three_points_within_the_hour_put_the_next_one_off() -> None:
    times = tuple(NOW - timedelta(minutes=at) for at in (5, 30, 59))
    assert codes(checked(seen(points_taken=times))) == {"PointsRate": WARNING}
    earlier = (*times[:2], NOW - timedelta(minutes=60))
    assert codes(checked(seen(points_taken=earlier))) == {}


@pytest.mark.parametrize(
    ("level", "azures", "state"),
    [
        ("CanNotDelete", True, PROBLEM),
        ("ReadOnly", True, PROBLEM),
        ("CanNotDelete", False, WARNING),
        ("ReadOnly", False, PROBLEM),
    ],
)
def test_locks_on_groups_of_restore_points(level: str, azures: bool, state: State) -> None:
    name = "azurebackuprg_westeurope_1" if azures else "rg"
    lock = Lock(name="keep", level=level, scope=f"{GROUP.rpartition('/')[0]}/{name}")
    group = PointsGroup(name=name, points=3, locks=(lock,), is_azures=azures)
    report = checked(seen(points_groups=(group,)))
    assert codes(report) == {"GroupLocked": state}
    found = only(report, state)
    assert found.subject == f"resource group {name}"
    assert found.fix == (
        f"az lock delete --ids {lock.scope}/providers/Microsoft.Authorization/locks/keep"
    )


def test_a_lock_where_points_would_be_made_counts_before_there_is_one() -> None:
    lock = Lock(name="frozen", level="ReadOnly", scope=GROUP)
    found = only(checked(seen(locks=(lock,))))
    assert (found.code, found.subject) == ("GroupLocked", "resource group rg")
    above = Lock(name="all", level="ReadOnly", scope=GROUP.partition("/resourcegroups/")[0])
    assert only(checked(seen(locks=(above,)))).subject.startswith("subscription 0f0f0f0f")
    same = PointsGroup(name="rg", points=1, locks=(lock,))
    assert only(checked(seen(locks=(lock,), points_groups=(same,)))).code == "GroupLocked"


def test_one_vault_for_a_machine() -> None:
    item, vault = ItemId("web"), "/subscriptions/s/…/vaults/theirs"
    assert codes(checked(seen(), item=item)) == {}
    assert codes(checked(seen(), item=item, vault=vault, own_vault=True)) == {}
    found = only(checked(seen(), vault=vault))
    assert (found.code, vault in found.seen) == ("ProtectedElsewhere", True)
    assert codes(checked(seen(), item=item, vault=vault)) == {"ProtectedElsewhere": PROBLEM}


def test_what_could_not_be_seen_is_said() -> None:
    report = checked(seen(unseen=(Unseen(part="network", reason="access denied"),)))
    found = only(report, WARNING)
    assert (found.code, found.subject) == ("NotSeen", "network")
    assert "Reader" in found.fix


def test_consistency_is_what_the_next_backup_would_promise() -> None:
    linux = checked(seen(machine(os=Os.LINUX)))
    told = next(each for each in linux.findings if each.subject == "consistency")
    assert (told.state, str(Consistency.FILE_SYSTEM) in told.seen) == (State.OK, True)


# ---------------------------------------------------------------- sizes


@pytest.mark.parametrize(
    ("size", "torn"),
    [
        ("Standard_D4s_v6", True),
        ("Standard_E96-24ds_v6", True),
        ("Standard_DC4es_v7", True),
        ("Standard_D4ads_v7", True),
        ("Standard_NC40ads_H100_v7", True),
        ("Standard_D4ads_v6", False),
        ("Standard_D4ps_v6", False),
        ("Standard_D4s_v5", False),
        ("Standard_B2s", False),
        ("", False),
    ],
)
def test_crash_consistent_points_of_late_sizes_may_be_torn(size: str, torn: bool) -> None:
    """Between data disks: those of one are of one moment. A point that is taken so says it."""
    disks = tuple(MachineDisk(disk=DiskUrl(f"{GROUP}/{lun}"), lun=lun) for lun in (OS_LUN, 0, 1))
    large, small = machine(size=size, disks=disks), machine(size=size, disks=disks[:2])
    assert ("CrashMayBeTorn" in codes(checked(seen(large)))) is torn
    assert "CrashMayBeTorn" not in codes(checked(seen(small)))
    choice = choose_consistency(Consistency.CRASH, large, 0)
    assert ("one moment" in choice.reason) is torn
    off = choose_consistency(Consistency.APPLICATION, replace(large, power=Power.DEALLOCATED), 0)
    assert off.reason.startswith("the machine was off")
    assert ("one moment" in off.reason) is torn
    assert not choose_consistency(Consistency.APPLICATION, large, 0).reason
