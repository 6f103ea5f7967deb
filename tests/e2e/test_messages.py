"""Messages that are bad, come twice, late or out of date, or whose settlement is lost."""

import asyncio
import json
from dataclasses import replace
from typing import Any

import pytest
from azure.servicebus import ServiceBusMessage

from local.servicebus.faults import Fault as BusFault
from local.storage.controls import Fault
from shared.config import read_settings
from shared.model.disk import EpochFence
from shared.model.errors import StaleEpoch
from shared.model.ids import Epoch, ItemId
from shared.model.item import Item
from shared.model.ranges import PageRange
from shared.ports import Ports
from shared.wiring import Wiring
from tests.e2e.disk import MIB
from tests.e2e.rig import Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

WORK_QUEUES = ("snapshot", "transfer-to-vault", "incremental-copy", "retention")
SLOW_COPIES = Fault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=3000)
FAULTS_BY_NAME: dict[str, tuple[BusFault, dict[str, Any]]] = {
    "twice": (BusFault.DUPLICATE, {"count": 3}),
    "late": (BusFault.DELAY, {"delay_ms": 1500}),
    "settled in vain": (BusFault.LOSE_SETTLEMENT, {"applied": False}),
}


@pytest.mark.fault(10, 21)
@pytest.mark.parametrize("name", FAULTS_BY_NAME)
def test_a_backup_survives_messages_that_come(rig: Rig, name: str) -> None:
    """Invariant 6, on every queue; a lost settlement brings the message again once its lock
    ends."""
    fault, settings = FAULTS_BY_NAME[name]
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    queues = ("commands", *WORK_QUEUES)
    fired = {queue: rig.bus.fired(queue, fault) for queue in queues}
    for queue in queues:
        rig.bus.arm(queue, fault, **settings)
    disk.scribble()
    rig.backup(item)
    contents[rig.points(item)[-1]["id"]] = disk.content
    for queue in queues:
        _await_fault(rig, queue, fault, fired[queue])
        rig.bus.call("expire-locks", queue=queue)
    rig.drained(*queues)
    assert [point["id"] for point in rig.points(item)] == list(contents)
    backups = [job for job in rig.vaultline("jobs", item) if job["operation"] == "Backup"]
    assert [job["status"] for job in backups] == ["Completed"] * 2
    rig.assert_restorable(item, contents)


def _await_fault(rig: Rig, queue: str, fault: BusFault, before: int) -> None:
    until(lambda: rig.bus.fired(queue, fault) > before, f"{fault} in {queue}", rig.story)


@pytest.mark.fault(8)
def test_a_stale_part_is_refused_by_the_storage_service(rig: Rig) -> None:
    """Invariant 3: a part of an earlier epoch comes again while a newer transfer writes; and
    whoever would still carry it out is answered 412 by the storage itself."""
    disk = rig.disk()
    disk.write(0, 6 * MIB)
    item = rig.protect(disk)
    contents = {}
    with rig.storage_faults(SLOW_COPIES) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        stale = [body for body in rig.peeked("incremental-copy") if job in body.decode()]
        assert rig.ended(job)["status"] == "Completed"
    contents[rig.points(item)[-1]["id"]] = disk.content
    assert len(stale) == 1
    disk.clear(0, 2 * MIB)
    disk.write(3 * MIB, MIB)
    with rig.storage_faults(replace(SLOW_COPIES, delay_ms=8000, times=1)) as counts:
        newer = rig.ask_backup(item)
        until(lambda: counts()[0].fired, "a newer copy to begin", rig.story)
        late = [ServiceBusMessage(body, message_id=f"late-{job}") for body in stale]
        rig.send(*late, queue="incremental-copy")
        before = _refusals(rig)
        assert asyncio.run(_write_as(rig, item, json.loads(stale[0])["epoch"])) == 3
        assert _refusals(rig) - before == 3
        until(lambda: _waiting_parts(rig) == 1, "the late part to be served", rig.story)
        assert rig.job(newer)["status"] == "InProgress"  # type: ignore[index]
        assert rig.ended(newer)["status"] == "Completed"
    rig.drained("incremental-copy")
    contents[rig.points(item)[-1]["id"]] = disk.content
    rig.assert_restorable(item, contents)


async def _write_as(rig: Rig, item: ItemId, epoch: int) -> int:
    """Copies, writes and clears as the holder of `epoch` would; how often that was refused."""
    async with Wiring(read_settings(rig.app_settings)) as wiring:
        ports: Ports = wiring.ports()
        row = await ports.ledger.get(item, Item)
        assert row is not None
        assert row.record.base is not None
        fence, replica, where = (
            EpochFence(epoch=Epoch(epoch)),
            row.record.replica,
            PageRange(0, 4096),
        )
        assert row.record.epoch > epoch
        refused = 0
        async with ports.disks.grant(row.record.base.source) as grant:
            for attempt in (
                ports.images.copy(replica, where, grant, fence),
                ports.images.write(replica, where, b"x" * 4096, fence),
                ports.images.clear(replica, where, fence),
            ):
                try:
                    await attempt
                except StaleEpoch:
                    refused += 1
        return refused


def _waiting_parts(rig: Rig) -> int:
    """Messages in the parts' queue; the newer transfer's own part is one."""
    active: int = rig.bus.counts()["incremental-copy"]["active"]
    return active


def _refusals(rig: Rig) -> int:
    """Page writes to the vault that were refused to clients other than the host."""
    return sum(
        row.errors
        for row in rig.counters()
        if row.account == "vlvault"
        and row.client != "vaultline-host"
        and row.operation.startswith("PageBlob_")
    )


def _bad_commands(item: str) -> dict[str, bytes]:
    """What is not a command, by what is wrong with it."""
    good = {"type": "backup-now", "item_id": item}
    return {
        "not JSON": b"back it up, please",
        "not UTF-8": b"\xff\xfe\x00",
        "no object": b"[1, 2]",
        "no type": json.dumps({"item_id": item}).encode(),
        "unknown type": json.dumps({**good, "type": "format-disk"}).encode(),
        "wrong type": json.dumps({**good, "item_id": 7}).encode(),
        "extra field": json.dumps({**good, "priority": "high"}).encode(),
        "unknown item": json.dumps({**good, "item_id": "nobody"}).encode(),
        "not built yet": json.dumps(
            {"type": "restore", "item_id": item, "target": {"kind": "files", "paths": ["/etc"]}}
        ).encode(),
        "unknown account": json.dumps(
            {"type": "protect", "source": "https://elsewhere.example/a/b", "policy": "gold"}
            | {"vault": "e2e"}
        ).encode(),
        "unconfirmed": json.dumps(
            {"type": "restore", "item_id": item, "target": {"kind": "original"}}
        ).encode(),
        "garbage": b"{" + b"garbage " * 25_000,
    }


REASONS = {
    "not JSON": "JSON",
    "unknown type": "backup-now",
    "wrong type": "item_id",
    "extra field": "priority",
    "unknown item": "nobody",
    "unconfirmed": "confirm",
    "garbage": "bytes",
}
"""A word that a person needs to understand what was wrong."""


@pytest.mark.fault(26)
def test_bad_commands_are_dead_lettered_with_a_reason_and_good_ones_served(rig: Rig) -> None:
    """Invariant 12."""
    disk = rig.disk()
    disk.write(0, MIB)
    item = rig.protect(disk)
    bad = _bad_commands(item)
    run = item.removeprefix("item-")
    ids = {name: f"{name} {run}" for name in bad}
    rig.send(*(ServiceBusMessage(body, message_id=ids[name]) for name, body in bad.items()))
    rig.backup(item)
    dead = rig.dead_letters(ids.values())
    for name, id_ in ids.items():
        letter = dead[id_]
        assert letter.body == bad[name]
        assert letter.reason in ("InvalidInput", "NotFound", "NotSupportedYet"), (name, letter)
        assert len(letter.description) > 20, (name, letter)
        assert REASONS.get(name, "") in letter.description, (name, letter.description)
    jobs = {each["operation"] for each in rig.vaultline("jobs", item)}
    assert jobs - {"Verify"} == {"Backup", "ConfigureProtection"}
    assert rig.restored(item) == disk.content


def test_a_request_made_twice_is_one_job(rig: Rig) -> None:
    """The request id makes a command repeatable, whatever MessageIds it comes under."""
    disk = rig.disk()
    disk.write(0, MIB)
    item = rig.protect(disk)
    command = {"type": "backup-now", "item_id": item, "request_id": f"nightly-{item}"}
    for number in range(3):
        rig.send(ServiceBusMessage(json.dumps(command), message_id=f"{item}-{number}"))
    until(lambda: rig.points(item), "a point", rig.story)
    rig.drained("commands", *WORK_QUEUES)
    assert len(rig.points(item)) == 1
    jobs = [each["operation"] for each in rig.vaultline("jobs", item)]
    assert sorted(set(jobs) - {"Verify"}) == ["Backup", "ConfigureProtection"]
    assert jobs.count("Backup") == 1
