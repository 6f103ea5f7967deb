"""`jobs`, `cancel` and `dead-letters`: from the index, within bounds, and refused in words."""

import asyncio
import json
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from cli import jobs as jobs_module
from shared.memory import Fault
from shared.model.ids import ItemId, JobId, RequestId
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Insert, update
from shared.model.messages import COMMANDS, COPY, CancelJob, Outgoing
from shared.steps.cancel import cancel_job
from shared.steps.dispatch import Delivery, dispatch
from tests.unit.cli_world import ITEM, NOW, World, backup_job, furnish, item, world

__all__ = ["world"]


async def _note(world: World, *jobs: Any) -> None:
    for job in jobs:
        await world.ports.catalog.note_job(job.id, job.started_at)
        await world.ports.ledger.commit(job.item_id, [Insert(job)])


def with_jobs(world: World, count: int = 6) -> list[str]:
    """Jobs an hour apart of two items; every third failed, every second a restore. Newest first."""
    made = []
    for number in range(count):
        at = NOW - timedelta(hours=number)
        of = ItemId(f"disk-{1 + number % 2}")
        job = backup_job(
            at,
            Status.FAILED if number % 3 == 0 else Status.COMPLETED,
            id=JobId(f"{of}.backup-{number:03}"),
            item_id=of,
            operation=Operation.RESTORE if number % 2 else Operation.BACKUP,
        )
        made.append(job)
    asyncio.run(_note(world, *made))
    world.put(item())
    return [job.id for job in made]


def ids(views: list[dict[str, Any]]) -> list[str]:
    return [view["id"] for view in views]


def test_jobs_are_listed_newest_first_and_no_more_than_asked_for(world: World) -> None:
    made = with_jobs(world)
    assert ids(world.json("jobs")) == made
    assert ids(world.json("jobs", "--limit", "2")) == made[:2]
    assert ids(world.json("jobs", "disk-2")) == made[1::2]


@pytest.mark.parametrize(
    ("options", "wanted"),
    [
        (("--status", "failed"), [0, 3]),
        (("--operation", "Restore"), [1, 3, 5]),
        (("--operation", "RESTORE", "--status", "Failed"), [3]),
        (("--since", "2026-11-21T10:00Z"), [0, 1, 2]),
        (("--until", "2026-11-21T11:00+01:00"), [2, 3, 4, 5]),
        (("--since", "2026-11-21T09:00", "--until", "2026-11-21T10:00"), [2, 3]),
        (("--since", "2026-11-21"), [0, 1, 2, 3, 4, 5]),
        (("--until", "2026-11-20"), []),
        (("--status", "Skipped"), []),
    ],
)
def test_jobs_are_filtered(world: World, options: tuple[str, ...], wanted: list[int]) -> None:
    made = with_jobs(world)
    assert ids(world.json("jobs", *options)) == [made[number] for number in wanted]
    of_one = [made[number] for number in wanted if number % 2 == 0]
    if "--until" not in options:
        assert ids(world.json("jobs", "disk-1", *options)) == of_one


def test_a_listing_reads_no_more_rows_than_it_shows(world: World) -> None:
    """From the index: not the item's partition, and not what is beyond the limit."""
    with_jobs(world, 60)
    before = world.ports.faults.calls.copy()
    assert len(world.json("jobs", "--limit", "5")) == 5
    spent = world.ports.faults.calls - before
    assert (spent["catalog.jobs"], spent["ledger.get"], spent["ledger.rows"]) == (1, 5, 0)


def test_a_job_noted_twice_is_listed_once(world: World) -> None:
    (made,) = with_jobs(world, 1)
    asyncio.run(world.ports.catalog.note_job(JobId(made), NOW - timedelta(seconds=3)))
    assert ids(world.json("jobs")) == [made]


def test_a_job_of_a_host_whose_clock_is_ahead_is_listed(world: World) -> None:
    ahead = backup_job(NOW + timedelta(minutes=10), Status.IN_PROGRESS)
    asyncio.run(_note(world, ahead))
    assert ids(world.json("jobs")) == [ahead.id]


def test_a_search_that_reads_too_much_is_refused(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    with_jobs(world, 30)
    monkeypatch.setattr(jobs_module, "READ_AT_MOST", 20)
    assert len(world.json("jobs", "--limit", "10")) == 10
    error = world.error("jobs", "--status", "Skipped")
    assert "closer together" in error["recommended_action"]


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("jobs", "--status", "Fine"), "--status 'Fine' is none of NotStarted, InProgress"),
        (("jobs", "--operation", "Format"), "--operation 'Format' is none of"),
        (("jobs", "--since", "yesterday"), "--since 'yesterday' is no time"),
        (("jobs", "--until", "2026-13-01"), "--until '2026-13-01' is no time"),
        (("jobs", "--since", "2026-11-21", "--until", "2026-11-20"), "later than --until"),
        (("jobs", "--since", "2020-01-01"), "covers at most 366 days"),
        (("jobs", "disk-9"), "there is no item 'disk-9'"),
        (("jobs", "No Item"), "is not an item id"),
        (("cancel", "disk-1.backup-none"), "there is no job 'disk-1.backup-none'"),
        (("cancel", "disk-1"), "is not a job's id"),
        (("cancel", "disk-1.backup-20261121t020000z"), "has ended already: Completed"),
        (("dead-letters", "show", "commands:1"), "there is no dead letter 'commands:1'"),
        (("dead-letters", "show", "17"), "is no dead letter's id"),
        (("dead-letters", "discard", "commands:x"), "is no dead letter's id"),
        (("dead-letters", "redrive", "copy:1"), "is no dead letter's id"),
        (("dead-letters", "redrive"), "either an ID or --all"),
        (("dead-letters", "redrive", "commands:1", "--all"), "either an ID or --all"),
        (("dead-letters", "list", "--queue", "copy"), "there is no queue 'copy'"),
    ],
)
def test_a_wrong_request_ends_with_2_and_says_what_to_do(
    world: World, args: tuple[str, ...], words: str
) -> None:
    furnish(world)
    error = world.error(*args, status=2)
    assert words in error["message"]
    assert error["recommended_action"]
    assert world.vaultline(*args).exit_code == 2
    assert world.ports.bus.receive(COMMANDS) is None


# ---------------------------------------------------------------- cancel


def under_way(world: World) -> JobId:
    job = backup_job(NOW, Status.IN_PROGRESS)
    world.put(item(transferring=job.id), job)
    return job.id


def test_cancel_sends_the_command(world: World) -> None:
    job = under_way(world)
    view = world.json("cancel", job)
    locked = world.ports.bus.receive(COMMANDS)
    assert locked is not None
    body = json.loads(locked.message.body)
    assert body == {"type": "cancel", "job_id": job, "request_id": view["request_id"]}
    assert view["id"] == job


class Obeying:
    """A bus whose consumer obeys at once, or only after the job has ended by itself."""

    def __init__(self, world: World, *, late: bool) -> None:
        self._world, self._late = world, late

    async def send(self, messages: list[Outgoing]) -> None:
        ledger = self._world.ports.ledger
        for message in messages:
            if message.queue != COMMANDS:
                continue
            if self._late:
                job_id = json.loads(message.body)["job_id"]
                row = await ledger.get(ITEM, Job, job_id)
                assert row is not None
                done = row.record.end(Status.COMPLETED, NOW)
                await ledger.commit(ITEM, [update(row, done)])
            delivery = Delivery(
                queue=COMMANDS,
                message_id=message.message_id,
                lock_token="1",
                body=message.body.encode(),
            )
            await dispatch(self._world.ports, delivery)

    async def dead_letter(self, queue: str, lock_token: str, code: str, reason: str) -> None:
        assert code == "JobEnded"


@pytest.mark.parametrize(
    ("late", "status", "ended"), [(False, 0, "Cancelled"), (True, 1, "Completed")]
)
def test_cancel_waits_for_the_jobs_end(world: World, late: bool, status: int, ended: str) -> None:
    """Exit status 1 where it came too late."""
    job = under_way(world)
    world.ports = replace(world.ports, bus=Obeying(world, late=late))  # type: ignore[arg-type]
    view = world.json("cancel", job, "--wait", status=status)
    assert view["status"] == ended
    assert world.json("show", job)["status"] == ended


def test_a_cancelled_job_is_shown_with_its_reason(world: World) -> None:
    job = under_way(world)
    command = CancelJob(job_id=job, request_id=RequestId("r"))
    asyncio.run(cancel_job(world.ports, command))
    view = world.json("show", job)
    assert (view["status"], view["error"]["code"]) == ("Cancelled", "Cancelled")
    assert view["sub_tasks"][1] == {"name": "Transfer data to vault", "status": "Cancelled"}
    assert "cancelled on request" in world.vaultline("show", job).stdout


# ---------------------------------------------------------------- dead letters


def with_dead_letters(world: World) -> list[str]:
    """One refused command, and one part that burnt out."""
    asyncio.run(_bury(world))
    return ids(world.json("dead-letters", "list"))


async def _bury(world: World) -> None:
    bus = world.ports.bus
    body = json.dumps({"type": "backup-now", "item_id": "disk-9"})
    await bus.send([Outgoing(queue=COMMANDS, message_id="nightly", body=body)])
    locked = bus.receive(COMMANDS)
    assert locked is not None
    await bus.dead_letter(COMMANDS, locked.lock_token, "NotFound", "there is no item disk-9")
    part = json.dumps({"item_id": ITEM, "job_id": f"{ITEM}.backup-1", "part": 3})
    await bus.send([Outgoing(queue=COPY, message_id="part", body=part)])
    for _ in range(10):
        again = bus.receive(COPY)
        assert again is not None
        bus.abandon(again)


def test_dead_letters_are_listed_with_why(world: World) -> None:
    assert world.json("dead-letters", "list") == []
    assert "There is no dead letter." in world.vaultline("dead-letters", "list").stdout
    command, part = with_dead_letters(world)
    first, second = world.json("dead-letters", "list")
    assert (first["id"], first["queue"], first["message_id"]) == (command, COMMANDS, "nightly")
    assert (first["code"], first["reason"]) == ("NotFound", "there is no item disk-9")
    assert (first["item_id"], first["job_id"]) == ("disk-9", None)
    assert (second["job_id"], second["delivery_count"]) == (f"{ITEM}.backup-1", 10)
    assert second["code"] == "MaxDeliveryCountExceeded"
    assert ids(world.json("dead-letters", "list", "--queue", COPY)) == [part]
    assert ids(world.json("dead-letters", "list", "--limit", "1")) == [command]
    assert command in world.vaultline("dead-letters", "list").stdout


def test_show_gives_the_body(world: World) -> None:
    _, part = with_dead_letters(world)
    assert json.loads(world.json("dead-letters", "show", part)["body"])["part"] == 3
    assert '"part": 3' in world.vaultline("dead-letters", "show", part).stdout


def test_redrive_sends_one_again_and_removes_it(world: World) -> None:
    command, part = with_dead_letters(world)
    assert world.json("dead-letters", "redrive", part) == {"redriven": [part]}
    assert ids(world.json("dead-letters", "list")) == [command]
    locked = world.ports.bus.receive(COPY)
    assert locked is not None
    assert locked.message.message_id.startswith("part.redrive.")
    assert world.error("dead-letters", "redrive", part)["code"] == "NotFound"


def test_a_redrive_that_was_interrupted_is_repeated_without_harm(world: World) -> None:
    """Sent, but not removed: sent again, it is the same message."""
    _, part = with_dead_letters(world)
    fault = world.ports.faults.plan(Fault("dead_letters.remove"))
    assert world.error("dead-letters", "redrive", part, status=1)["code"] == "ServiceUnavailable"
    assert fault.fired
    world.json("dead-letters", "redrive", part)
    assert len(world.ports.bus.messages(COPY)) == 1


def test_redrive_all_and_discard(world: World) -> None:
    command, part = with_dead_letters(world)
    assert world.json("dead-letters", "discard", command) == {"discarded": [command]}
    assert world.json("dead-letters", "redrive", "--all") == {"redriven": [part]}
    assert world.json("dead-letters", "list") == []
    assert world.ports.bus.messages(COMMANDS) == []
    assert world.json("dead-letters", "redrive", "--all") == {"redriven": []}
