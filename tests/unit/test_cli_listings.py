"""Listings and `show`: stable JSON, readable tables, exit statuses."""

import asyncio
import json
from datetime import timedelta
from pathlib import Path

import pytest

from shared.memory import Fault
from shared.model.errors import ErrorDetail
from shared.model.ids import Epoch, JobId
from shared.model.job import Status
from shared.model.transfer import Transfer
from tests.unit.cli_world import NOW, SOURCE, World, backup_job, furnish, item, snapshot, world

__all__ = ["world"]


def test_items(world: World) -> None:
    furnish(world)
    (view,) = world.json("items")
    wanted = {"id", "source", "policy", "vault", "state", "last_point_at"}
    assert wanted <= view.keys()
    assert (view["id"], view["source"], view["state"]) == ("disk-1", SOURCE, "Protected")
    assert view["last_point_at"] == "2026-11-21T02:00:00Z"
    table = world.vaultline("items").stdout
    assert "disk-1" in table
    assert "2026-11-21 02:00:00Z" in table


def test_nothing_yet_is_no_error(world: World) -> None:
    assert world.json("items") == []
    assert world.json("jobs") == []
    assert world.json("vault", "list") == []
    assert "Nothing is protected yet." in world.vaultline("items").stdout


def test_a_listing_skips_ids_without_a_row(world: World) -> None:
    asyncio.run(world.ports.catalog.note_item(item().id))
    asyncio.run(world.ports.catalog.note_job(JobId("disk-1.backup-x"), NOW))
    assert world.json("items") == []
    assert world.json("jobs") == []


def test_jobs_newest_first_of_all_and_of_one_item(world: World) -> None:
    furnish(world)
    of_item = world.json("jobs", "disk-1")
    assert [view["started_at"] for view in of_item] == [
        "2026-11-21T02:00:00Z",
        "2026-11-16T02:00:00Z",
        "2026-10-12T02:00:00Z",
    ]
    wanted = {"id", "item_id", "operation", "status", "sub_tasks", "planned_bytes", "moved_bytes"}
    assert wanted | {"started_at", "ended_at", "error"} <= of_item[0].keys()
    assert of_item[0]["sub_tasks"] == [
        {"name": "Take Snapshot", "status": "Completed"},
        {"name": "Transfer data to vault", "status": "Completed"},
    ]
    assert [view["id"] for view in world.json("jobs")] == [view["id"] for view in of_item[:2]]
    assert len(world.json("jobs", "--since", "2026-10-01")) == 3
    assert "Backup" in world.vaultline("jobs", "disk-1").stdout


def test_a_running_job_shows_its_transfers_progress(world: World) -> None:
    job = backup_job(NOW, Status.IN_PROGRESS)
    transfer = Transfer(
        job_id=job.id,
        epoch=Epoch(1),
        snapshot=snapshot(SOURCE, NOW),
        planned_bytes=4096,
        copied_bytes=1024,
        started_at=NOW,
        progressed_at=NOW,
    )
    world.put(item(), job, transfer)
    asyncio.run(world.ports.catalog.note_job(job.id, job.started_at))
    (view,) = world.json("jobs", "disk-1")
    assert (view["planned_bytes"], view["moved_bytes"]) == (4096, 1024)


def test_a_failed_job_shows_its_error(world: World) -> None:
    error = ErrorDetail(code="SourceNotFound", message="it is gone", recommended_action="Look.")
    job = backup_job(NOW, Status.FAILED, error=error)
    world.put(item(), job)
    assert world.json("show", job.id)["error"] == {
        "code": "SourceNotFound",
        "message": "it is gone",
        "recommended_action": "Look.",
    }
    assert "SourceNotFound: it is gone Look." in world.vaultline("show", job.id).stdout


def test_points_oldest_first(world: World) -> None:
    points = furnish(world)
    views = world.json("points", "disk-1")
    assert [view["id"] for view in views] == [each.id for each in points]
    wanted = {"id", "item_id", "created_at", "kind", "tiers", "changed_bytes", "copied_bytes"}
    assert wanted | {"expires_at", "reasons"} <= views[0].keys()
    assert views[0]["tiers"] == ["vault"]
    assert views[1]["reasons"] == [{"rule": "daily", "until": "2026-12-16T02:00:00Z"}]
    assert "3.0 MiB" in world.vaultline("points", "disk-1").stdout


@pytest.mark.parametrize("kind", ["item", "job", "point"])
def test_show_finds_whatever_has_the_id(world: World, kind: str) -> None:
    newest = furnish(world)[2]
    id_ = {"item": "disk-1", "job": newest.job_id, "point": newest.id}[kind]
    assert world.json("show", id_)["id"] == id_
    assert id_ in world.vaultline("show", id_).stdout


@pytest.mark.parametrize(
    ("args", "code"),
    [
        (("points", "disk-2"), "NotFound"),
        (("jobs", "disk-2"), "NotFound"),
        (("show", "disk-2"), "NotFound"),
        (("show", "disk-1.backup-zap"), "NotFound"),
        (("show", "../etc"), "InvalidInput"),
        (("points", "NOT AN ID"), "InvalidInput"),
        (("policy", "show", "zap"), "NotFound"),
        (("show", "disk-1", "--trace"), "InvalidInput"),
        (("items", "--zap"), "BadUsage"),
        (("jobs", "--limit", "0"), "BadUsage"),
        (("jobs", "--limit", "many"), "BadUsage"),
        (("show",), "BadUsage"),
        (("zap",), "BadUsage"),
    ],
)
def test_a_wrong_request_ends_with_2_and_says_what_to_do(
    world: World, args: tuple[str, ...], code: str
) -> None:
    furnish(world)
    error = world.error(*args, status=2)
    assert error["code"] == code
    assert error["message"]
    assert error["recommended_action"]
    result = world.vaultline(*args)
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr == f"{error['message']}\n{error['recommended_action']}\n"


def test_a_service_out_of_reach_ends_with_1(world: World) -> None:
    fault = world.ports.faults.plan(Fault("catalog.vaults"))
    error = world.error("vault", "list", status=1)
    assert error["code"] == "ServiceUnavailable"
    assert "try again" in error["recommended_action"]
    assert fault.fired == 1


TRACE = "0af7651916cd43dd8448eb211c80319c"


def test_show_trace_draws_the_jobs_waterfall(world: World, tmp_path: Path) -> None:
    job = furnish(world)[2].job_id
    span = {
        "trace_id": TRACE,
        "span_id": "a",
        "parent_id": None,
        "name": "take snapshot",
        "start": NOW.isoformat(),
        "end": (NOW + timedelta(seconds=2)).isoformat(),
        "status": "OK",
        "attributes": {"vaultline.item": "disk-1"},
    }
    (tmp_path / "spans-1.jsonl").write_text(json.dumps(span) + "\n", encoding="utf-8")
    world.spans = tmp_path
    drawn = world.vaultline("show", job, "--trace").stdout
    assert "take snapshot      0.00 s    2.00 s  ████" in drawn
    (told,) = world.json("show", job, "--trace")["trace"]
    assert (told["name"], told["seconds"], told["parent_id"]) == ("take snapshot", 2.0, None)


def test_show_trace_says_where_to_look_without_local_telemetry(
    world: World, tmp_path: Path
) -> None:
    job = furnish(world)[2].job_id
    told = world.vaultline("show", job, "--trace").stdout
    assert "Application Insights" in told
    assert f'operation_Id == "{TRACE}"' in told
    assert world.json("show", job, "--trace")["trace"] == []
    world.spans = tmp_path
    assert f"No span of trace {TRACE}" in world.vaultline("show", job, "--trace").stdout
