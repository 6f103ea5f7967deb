"""What people ask for: the messages that are sent, waiting, and exit statuses."""

import asyncio
import json
from dataclasses import dataclass, replace
from typing import Any

import pytest

from shared.codec import to_json
from shared.memory import Fault
from shared.model.errors import ErrorDetail
from shared.model.ids import DiskUrl, JobId, RequestId, default_item_id, request_job
from shared.model.item import ProtectionState
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Insert
from shared.model.messages import COMMANDS, Outgoing
from shared.model.restore import RestoreWork
from shared.steps.dispatch import Delivery, dispatch
from tests.unit.cli_world import (
    ITEM,
    NOW,
    SOURCE,
    VAULT_ACCOUNT,
    World,
    backup_job,
    furnish,
    item,
    snapshot,
    world,
)

__all__ = ["world"]


def sent(world: World) -> dict[str, Any]:
    """The one command that was sent."""
    locked = world.ports.bus.receive(COMMANDS)
    assert locked
    body: dict[str, Any] = json.loads(locked.message.body)
    assert locked.message.message_id == body["request_id"]
    return body


def with_disk(world: World) -> None:
    asyncio.run(world.ports.images.create(SOURCE, 1 << 20, tag=""))


@dataclass(frozen=True)
class Answering:
    """A bus whose consumer answers a command with a finished job at once."""

    world: World
    job: Job
    name: str

    async def send(self, messages: list[Outgoing]) -> None:
        (message,) = messages
        id_ = request_job(ITEM, self.name, RequestId(message.message_id))
        await self.world.ports.ledger.commit(ITEM, [Insert(replace(self.job, id=id_))])


@dataclass(frozen=True)
class Obeying:
    """A bus whose consumer is the pipeline's own."""

    world: World

    async def send(self, messages: list[Outgoing]) -> None:
        for message in messages:
            if message.queue == COMMANDS:
                body = message.body.encode()
                delivery = Delivery(
                    queue=COMMANDS, message_id=message.message_id, lock_token="1", body=body
                )
                await dispatch(self.world.ports, delivery)


def answer(world: World, name: str, job: Job) -> None:
    world.ports = replace(world.ports, bus=Answering(world, job, name))  # type: ignore[arg-type]


def test_backup_sends_the_command_and_names_its_job(world: World) -> None:
    furnish(world)
    view = world.json("backup", "disk-1", "--retain-until", "2026-12-31")
    body = sent(world)
    assert body == {
        "type": "backup-now",
        "item_id": "disk-1",
        "retain_until": "2026-12-31",
        "request_id": view["request_id"],
    }
    assert view["id"] == request_job(ITEM, "backup", RequestId(view["request_id"]))
    assert (view["operation"], view["status"]) == ("Backup", "NotStarted")
    assert "disk-1.backup-" in world.vaultline("backup", "disk-1").stdout


@pytest.mark.parametrize(
    ("status", "exit_status"),
    [(Status.COMPLETED, 0), (Status.COMPLETED_WITH_WARNINGS, 1), (Status.FAILED, 1)],
)
def test_wait_ends_as_the_job_does(world: World, status: Status, exit_status: int) -> None:
    furnish(world)
    error = ErrorDetail(code="ServerBusy", message="busy", recommended_action="Wait.")
    answer(world, "backup", backup_job(NOW, status, error=error if exit_status else None))
    view = world.json("backup", "disk-1", "--wait", status=exit_status)
    assert view["status"] == status
    assert (view["error"] is None) is (exit_status == 0)
    told = world.vaultline("backup", "disk-1", "--wait")
    assert told.exit_code == exit_status
    assert ("ServerBusy: busy Wait." in told.stdout) is bool(exit_status)


def test_wait_says_when_nobody_takes_the_command_up(world: World) -> None:
    furnish(world)
    error = world.error("backup", "disk-1", "--wait", status=1)
    assert error["code"] == "CommandNotTakenUp"
    assert "dead letters" in error["recommended_action"]


def test_wait_ends_when_its_time_is_over(world: World) -> None:
    furnish(world)
    answer(world, "backup", backup_job(NOW, Status.IN_PROGRESS))
    error = world.error("backup", "disk-1", "--wait", "--timeout", "5", status=1)
    assert error["code"] == "StillRunning"


def test_waiting_outlives_reads_that_fail(world: World) -> None:
    furnish(world)
    answer(world, "backup", backup_job(NOW))
    fault = world.ports.faults.plan(Fault("ledger.get", times=3, skip=1))
    assert world.json("backup", "disk-1", "--wait")["status"] == "Completed"
    assert fault.fired == 3


def test_backup_of_a_stopped_item_is_refused(world: World) -> None:
    world.put(item(state=ProtectionState.PROTECTION_STOPPED))
    assert "is stopped" in world.error("backup", "disk-1")["message"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("backup", "disk-2"), "there is no item 'disk-2'"),
        (("backup", "disk-1", "--retain-until", "soon"), "retain_until must be a date"),
        (("stop", "disk-2"), "there is no item 'disk-2'"),
        (("restore", "disk-2", "--to", "original", "--confirm"), "there is no item 'disk-2'"),
        (("restore", "disk-1", "--to", "original"), "overwrites the protected disk"),
        (("restore", "disk-1", "--to", "somewhere"), "target.url must be a URL"),
        (("restore", "disk-1"), "Missing option '--to'"),
        (("restore", "disk-1", "--to", SOURCE, "--point", "zap"), 'point must be "latest"'),
        (("restore", "disk-1", "--to", SOURCE, "--at", "noon"), "point.at must be a time"),
        (
            ("restore", "disk-1", "--to", SOURCE, "--at", "x", "--point", "y"),
            "exclude each other",
        ),
        (("protect", SOURCE, "--vault", "zap"), "there is no vault 'zap'"),
        (("protect", SOURCE, "--vault", "main", "--policy", "zap"), "there is no policy 'zap'"),
        (("protect", SOURCE, "--vault", "main", "--id", "NO"), "'NO' is not an item id"),
        (("protect", f"{SOURCE}-gone", "--vault", "main"), "os.vhd-gone"),
        (("protect", SOURCE), "Missing option '--vault'"),
    ],
)
def test_what_cannot_be_done_is_refused_before_it_is_sent(
    world: World, args: tuple[str, ...], words: str
) -> None:
    furnish(world)
    with_disk(world)
    assert words in world.error(*args)["message"]
    assert world.ports.bus.receive(COMMANDS) is None


def test_protect_and_stop_through_the_pipelines_own_commands(world: World) -> None:
    with_disk(world)
    world.json("vault", "create", "main")
    world.ports = replace(world.ports, bus=Obeying(world))  # type: ignore[arg-type]
    view = world.json("protect", SOURCE, "--vault", "main", "--id", "disk-9", "--wait")
    assert (view["operation"], view["status"]) == ("ConfigureProtection", "Completed")
    (found,) = world.json("items")
    assert (found["id"], found["policy"], found["state"]) == (
        "disk-9",
        "default",
        "InitialBackupPending",
    )
    assert [each["name"] for each in world.json("policy", "list")] == ["default"]
    view = world.json("stop", "disk-9", "--wait")
    assert (view["operation"], view["status"]) == ("StopProtection", "Completed")
    assert world.json("show", "disk-9")["state"] == "ProtectionStopped"


def test_protect_names_the_item_after_its_disk(world: World) -> None:
    furnish(world)
    with_disk(world)
    view = world.json("protect", SOURCE, "--vault", "main")
    assert view["item_id"] == default_item_id(SOURCE)
    assert sent(world)["source"] == SOURCE


def test_a_disk_out_of_reach_is_the_apps_to_judge(world: World) -> None:
    furnish(world)
    fault = world.ports.faults.plan(Fault("disks.state"))
    assert world.json("protect", SOURCE, "--vault", "main")["status"] == "NotStarted"
    assert fault.fired == 1


def test_check_sends_the_command_and_is_refused_where_there_is_nothing_to_check(
    world: World,
) -> None:
    furnish(world)
    told = world.json("check", ITEM)
    command = sent(world)
    assert (command["type"], command["item_id"]) == ("consistency-check", ITEM)
    assert told["id"] == request_job(ITEM, "check", RequestId(command["request_id"]))
    assert told["operation"] == "ConsistencyCheck"
    empty = World()
    empty.put(item())
    assert empty.error("check", ITEM)["code"] == "NothingToCheck"
    assert empty.error("check", "nobody")["code"] == "NotFound"


def test_stop_carries_whether_data_goes(world: World) -> None:
    furnish(world)
    world.json("stop", "disk-1", "--delete-data")
    assert sent(world)["delete_data"] is True


def test_restore_sends_point_and_target(world: World) -> None:
    points = furnish(world)
    new = f"{VAULT_ACCOUNT}/restored/os.vhd"
    view = world.json("restore", "disk-1", "--to", new, "--point", points[1].id)
    assert (view["target"], view["point"], view["operation"]) == (new, points[1].id, "Restore")
    body = sent(world)
    assert body["point"] == points[1].id
    assert body["target"] == {"kind": "alternate", "url": new}


def test_restore_by_time_and_to_the_original(world: World) -> None:
    furnish(world)
    at = "2026-11-17T00:00:00Z"
    view = world.json("restore", "disk-1", "--to", "original", "--confirm", "--at", at)
    assert view["target"] == SOURCE
    body = sent(world)
    assert body["point"] == {"at": at}
    assert body["target"] == {"kind": "original", "confirm": True}


def test_a_finished_restore_names_point_target_and_status(world: World) -> None:
    points = furnish(world)
    assert points[2].replica
    work = RestoreWork(
        point=points[2].id,
        source=snapshot(points[2].replica.disk, NOW),
        target=DiskUrl(f"{VAULT_ACCOUNT}/restored/os.vhd"),
        original=False,
        lease_id="00000000-0000-0000-0000-000000000000",
    )
    job = backup_job(NOW, operation=Operation.RESTORE, detail=to_json(work), id=JobId("x"))
    answer(world, "restore", job)
    view = world.json("restore", "disk-1", "--to", work.target, "--wait")
    assert (view["point"], view["target"], view["status"]) == (
        points[2].id,
        work.target,
        "Completed",
    )
