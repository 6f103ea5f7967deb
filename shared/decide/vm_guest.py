"""What a check says of a machine's power, its agent and its extensions."""

from collections.abc import Iterator

from shared.decide.machine import OLDEST_WINDOWS_AGENT, choose_consistency, older
from shared.decide.vm_network import PROXY
from shared.model.inspection import Inspected, SeenExtension
from shared.model.machine import Consistency, Machine, Os, Power
from shared.model.vm_check import Finding, ok, problem, warning
from shared.model.vm_snapshot import EXTENSIONS, Outcome, SnapshotStatus

OLDEST_LINUX_AGENT = (2, 2, 53, 1)
"""Older ones are not supported by Azure any more; backups may work all the same."""
_NETWORK_CODES = frozenset({15, 76, 761})
_AGENT_FIX = {
    Os.WINDOWS: "On the machine restart the services RdAgent and WindowsAzureGuestAgent, or "
    "install the newest agent (https://go.microsoft.com/fwlink/?LinkID=394789).",
    Os.LINUX: "On the machine: sudo systemctl restart walinuxagent (or waagent); update it from "
    "the distribution's packages. /etc/waagent.conf must have Extensions.Enable=y.",
}


def guest_findings(seen: Inspected, wanted: Consistency) -> Iterator[Finding]:
    """A machine that is off shows neither agent nor extensions, and needs none."""
    yield _power(seen.machine)
    yield from _provisioning(seen)
    if seen.machine.power is Power.RUNNING:
        yield _agent(seen.machine)
        yield _extension(seen)
        yield from _other_extensions(seen)
    yield _consistency(seen.machine, wanted)


def _power(machine: Machine) -> Finding:
    if machine.power is Power.RUNNING:
        return ok("Running", "power", "the machine is running")
    if machine.power is Power.CHANGING:
        return warning(
            "PowerChanging", "power", "the machine is being switched on or off", "Check it again."
        )
    return warning(
        "NotRunning",
        "power",
        f"the machine is {machine.power}: its backups are crash-consistent",
        f"az vm start --ids {machine.url}",
    )


def _provisioning(seen: Inspected) -> Iterator[Finding]:
    if seen.provisioning.casefold() == "failed":
        yield problem(
            "ProvisioningFailed",
            "machine",
            "the machine's last change failed",
            "Repair what failed, mostly an extension; then: "
            f"az vm reapply --ids {seen.machine.url}",
        )


def _agent(machine: Machine) -> Finding:
    agent, fix = machine.agent, _AGENT_FIX[machine.os]
    if not agent.ready:
        said = f": {agent.message}" if agent.message else ""
        return problem("AgentNotReady", "agent", f"the guest agent does not answer{said}", fix)
    told = f"the guest agent is ready{f', version {agent.version}' if agent.version else ''}"
    if machine.os is Os.WINDOWS and older(agent.version, OLDEST_WINDOWS_AGENT):
        least = ".".join(map(str, OLDEST_WINDOWS_AGENT))
        return problem("AgentTooOld", "agent", f"{told}; it takes part from {least} on", fix)
    if machine.os is Os.LINUX and older(agent.version, OLDEST_LINUX_AGENT):
        least = ".".join(map(str, OLDEST_LINUX_AGENT))
        return warning("AgentTooOld", "agent", f"{told}; Azure supports {least} and later", fix)
    return ok("AgentReady", "agent", told)


def _extension(seen: Inspected) -> Finding:
    name = EXTENSIONS[seen.machine.os]
    found, subject = seen.extension(EXTENSIONS.values()), f"extension {name}"
    if found is None:
        told = "not installed; the first consistent restore point installs it"
        return ok("ExtensionAbsent", subject, told)
    if found.status and found.status.outcome is Outcome.FAILED:
        return _failed_snapshot(subject, found.status)
    if found.state == "failed":
        said = f": {found.message}" if found.message else ""
        return problem(
            "ExtensionFailed", subject, f"it is in a failed state{said}", _remove(seen, found)
        )
    if found.state != "succeeded":
        return warning(
            "ExtensionChanging", subject, f"it is {found.state or 'changing'}", "Check it again."
        )
    return ok("ExtensionReady", subject, _ready(found))


def _ready(extension: SeenExtension) -> str:
    told = f"version {extension.version} is installed" if extension.version else "installed"
    if extension.status is None:
        return told
    last = extension.status.name if extension.status.outcome is Outcome.SUCCEEDED else "under way"
    return f"{told}; its last snapshot: {last}"


def _failed_snapshot(subject: str, status: SnapshotStatus) -> Finding:
    said = f": {status.message}" if status.message else ""
    action = status.action or "Back up again; if it fails again, read the extension's log."
    proxy = f" {PROXY}" if status.code in _NETWORK_CODES else ""
    return problem(
        "SnapshotFailed", subject, f"its last snapshot failed ({status.name}){said}", action + proxy
    )


def _remove(seen: Inspected, extension: SeenExtension) -> str:
    return (
        f"az vm extension delete --ids {seen.machine.url}/extensions/{extension.name}; the next "
        "backup installs it anew"
    )


def _other_extensions(seen: Inspected) -> Iterator[Finding]:
    """Azure takes no consistent restore point before every extension is through."""
    ours = {kind.casefold() for kind in EXTENSIONS.values()}
    for each in seen.extensions:
        if each.kind.casefold() not in ours and each.state == "failed":
            said = f": {each.message}" if each.message else ""
            yield warning(
                "OtherExtensionFailed",
                f"extension {each.name}",
                f"it failed{said}; consistent restore points wait for every extension",
                f"Repair it, or: az vm extension delete --ids {seen.machine.url}/extensions/"
                f"{each.name}",
            )


def _consistency(machine: Machine, wanted: Consistency) -> Finding:
    """What the next backup would promise."""
    choice = choose_consistency(wanted, machine, 0)
    because = f": {choice.reason}" if choice.reason else ""
    seen = f"the next backup is {choice.consistency}-consistent{because}"
    if choice.consistency is Consistency.CRASH and wanted is not Consistency.CRASH:
        fix = "Put the other findings right; until then each backup is crash-consistent."
        return warning("LessConsistent", "consistency", seen, fix)
    return ok("Consistent", "consistency", seen)
