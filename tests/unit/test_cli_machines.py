"""The command line for virtual machines: which disks, and where a restore is to go."""

from typing import Any

import pytest

from shared.codec import to_json
from shared.decide.machine import seat
from shared.model.ids import DiskUrl, JobId
from shared.model.job import Operation
from shared.model.machine import Consistency, Luns
from shared.model.messages import COMMANDS
from shared.model.restore import RestoreDisk, RestoreWork
from tests.unit.cli_world import (
    ITEM,
    NOW,
    SOURCE,
    World,
    backup_job,
    furnish,
    item,
    point,
    world,
)
from tests.unit.test_cli_requests import sent
from tests.unit.test_machine_decisions import ITEM as ITEM_OF
from tests.unit.test_machine_decisions import taken
from tests.unit.test_machine_restores import COMPUTE, GROUP, VM

__all__ = ["world"]

SUBNET = f"{GROUP}/providers/microsoft.network/virtualnetworks/net/subnets/apps"


def machine(world: World) -> None:
    """A machine that is protected as the item."""
    disk = DiskUrl(f"{COMPUTE}/disks/web-os")
    world.ports.storage.create(disk, 512)
    world.ports.machines.create(VM, {-1: disk})
    world.put(item(source=VM))


@pytest.mark.parametrize(
    ("args", "target"),
    [
        (
            ("disks", "--group", GROUP, "--prefix", "r1", "--disks", "OS, 2"),
            {"group": GROUP, "prefix": "r1", "disks": {"include": ["os", 2]}, "kind": "disks"},
        ),
        (
            ("disks", "--group", GROUP, "--without", "os"),
            {
                "group": GROUP,
                "prefix": "restored",
                "disks": {"exclude": ["os"]},
                "kind": "disks",
            },
        ),
        (
            ("vm", "--name", "web-2", "--network", SUBNET),
            {
                "kind": "alternate",
                "url": f"{GROUP}/providers/Microsoft.Compute/virtualMachines/web-2",
                "network": SUBNET,
            },
        ),
        (
            ("vm", "--name", "web-2", "--group", f"{GROUP}-2"),
            {
                "kind": "alternate",
                "url": f"{GROUP}-2/providers/Microsoft.Compute/virtualMachines/web-2",
            },
        ),
        ((f"{VM}-2",), {"kind": "alternate", "url": f"{VM}-2"}),
        (("original", "--confirm"), {"kind": "original", "confirm": True}),
    ],
)
def test_where_a_restore_is_to_go(
    world: World, args: tuple[str, ...], target: dict[str, Any]
) -> None:
    machine(world)
    world.json("restore", ITEM, "--to", *args)
    assert sent(world)["target"] == target


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("disks",), "--to disks wants --group"),
        (("disks", "--group", "zap"), "names neither a subscription nor a resource group"),
        (("disks", "--group", GROUP, "--disks", "one"), "--disks 'one' is no list of LUNs"),
        (("disks", "--group", GROUP, "--disks", "1", "--without", "2"), "exclude each other"),
        (("disks", "--group", GROUP, "--disks", "99"), "must be a LUN from 0 to 63, or 'os'"),
        (("disks", "--group", GROUP, "--name", "x"), "--name is for --to vm"),
        (("vm",), "--to vm wants --name"),
        (("vm", "--name", "x", "--disks", "1"), "--disks is for --to disks"),
        (("vm", "--name", "x", "--network", "net"), "is neither a subnet's id"),
        (("original",), "overwrites"),
        (("original", "--confirm", "--network", SUBNET), "--network is for a new virtual machine"),
        (("disks", "--group", GROUP, "--network", SUBNET), "--network is for a new virtual"),
    ],
)
def test_targets_that_are_refused_before_anything_is_sent(
    world: World, args: tuple[str, ...], words: str
) -> None:
    machine(world)
    assert words in world.error("restore", ITEM, "--to", *args)["message"]
    assert world.ports.bus.receive(COMMANDS) is None


def test_a_machine_is_protected_with_the_disks_that_are_named(world: World) -> None:
    machine(world)
    world.json("vault", "create", "main")
    world.json("protect", VM.upper(), "--vault", "main", "--without", "1,3")
    body = sent(world)
    assert (body["source"], body["disks"]) == (VM, {"exclude": [1, 3]})


def test_a_disk_has_no_disks_to_choose(world: World) -> None:
    furnish(world)
    world.json("vault", "create", "main")
    error = world.error("protect", SOURCE, "--vault", "main", "--disks", "0")
    assert "disks are for a virtual machine" in error["message"]


def test_what_is_chosen_is_shown(world: World) -> None:
    world.put(item(source=VM, luns=Luns(numbers=frozenset({2, -1}))))
    assert world.json("show", ITEM)["disks"] == {"include": ["os", 2]}
    assert "only os, 2" in world.vaultline("show", ITEM).output


def test_a_machines_point_and_restore_say_what_they_are(world: World) -> None:
    """What it promises, why no more; what was made, and what it came in the place of."""
    _, held = seat(ITEM_OF, taken({0: "data", -1: "os"}))
    why = {"consistency": Consistency.CRASH, "consistency_reason": "the machine was off"}
    its = point(NOW, source=held, replica=None, **why)
    disk = RestoreDisk(url=DiskUrl("new"), seat=0, size_bytes=512, replaces=DiskUrl("old"))
    work = RestoreWork(
        point=its.id, source=held, target=VM, original=True, lease_id="", disks=(disk,), machine=VM
    )
    job = JobId(f"{ITEM}.restore-1")
    done = backup_job(NOW, operation=Operation.RESTORE, detail=to_json(work), id=job)
    world.put(item(source=VM), its, done)
    shown = world.json("show", its.id)
    assert (shown["consistency"], shown["consistency_reason"]) == ("crash", "the machine was off")
    assert [disk["lun"] for disk in shown["disks"]] == ["os", 0]
    assert "NO MORE BECAUSE" in world.vaultline("show", its.id).output
    restored = {"lun": "os", "disk": "new", "replaced": "old"}
    assert world.json("show", job)["restored_disks"] == [restored]
    assert "old, which stays" in " ".join(world.vaultline("show", job).output.split())
