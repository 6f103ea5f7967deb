"""A machine as a check sees it, healthy unless something is changed: what the tests of the check
share."""

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

from shared.decide.vm_check import check_machine
from shared.model.ids import DiskUrl
from shared.model.inspection import Inspected, Interface, Rule, SeenDisk, SeenExtension
from shared.model.machine import OS_LUN, Agent, Luns, Machine, MachineDisk, Os, Power
from shared.model.vm_check import Finding, Protectors, Report, State

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
GROUP = "/subscriptions/0f0f0f0f-1111-2222-3333-444444444444/resourcegroups/rg"
VM = DiskUrl(f"{GROUP}/providers/microsoft.compute/virtualmachines/web")
GIBIBYTE = 1024**3


def disk(lun: int = OS_LUN, **more: Any) -> SeenDisk:
    name = "os" if lun == OS_LUN else f"data{lun}"
    url = DiskUrl(f"{GROUP}/providers/microsoft.compute/disks/{name}")
    given = {"lun": lun, "name": name, "url": url, "sku": "Premium_LRS", "size_bytes": GIBIBYTE}
    return SeenDisk(**{**given, **more})


def machine(**more: Any) -> Machine:
    given: dict[str, Any] = {
        "url": VM,
        "vm_id": "id-1",
        "region": "westeurope",
        "os": Os.WINDOWS,
        "power": Power.RUNNING,
        "agent": Agent(ready=True, version="2.7.41491.1095"),
        "disks": (MachineDisk(disk=DiskUrl(f"{GROUP}/os"), lun=OS_LUN, name="os"),),
    }
    return Machine(**{**given, **more})


def default_rules() -> tuple[Rule, ...]:
    """Azure's own outbound rules, as it writes them."""
    return (
        Rule(
            name="AllowVnetOutBound",
            priority=65000,
            allows=True,
            sources=("VirtualNetwork",),
            destinations=("VirtualNetwork",),
        ),
        Rule(name="AllowInternetOutBound", priority=65001, allows=True, destinations=("Internet",)),
        Rule(name="DenyAllOutBound", priority=65500, allows=False),
    )


def interface(**more: Any) -> Interface:
    return Interface(**{"name": "nic", "address": "10.0.0.4", "subnet": "apps", **more})


def seen(of: Machine | None = None, **more: Any) -> Inspected:
    given: dict[str, Any] = {
        "machine": of or machine(),
        "disks": (disk(), disk(0)),
        "interfaces": (interface(),),
        "extensions": (SeenExtension(name="VMSnapshot", kind="VMSnapshot", state="succeeded"),),
    }
    return Inspected(**{**given, **more})


def checked(of: Inspected, luns: Luns | None = None, **protectors: Any) -> Report:
    return check_machine(of, Protectors(**protectors), NOW, luns=luns)


def only(report: Report, state: State = State.PROBLEM) -> Finding:
    """The one finding in that state."""
    [found] = [each for each in report.findings if each.state is state]
    return found


def codes(report: Report) -> dict[str, State]:
    """What was found that is not ok, by code."""
    return {each.code: each.state for each in report.findings if each.state is not State.OK}


def powered_off() -> Machine:
    return replace(machine(), power=Power.DEALLOCATED, agent=Agent(ready=False))
