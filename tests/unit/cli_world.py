"""The command line over ports in memory: what the tests of `cli` share."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner, Result

from cli.main import app
from cli.session import Session
from shared.contracts.policy import default_policy
from shared.memory import ManualClock, MemoryPorts, memory_ports
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl, ItemId, JobId, PointId, PolicyName, VaultName, point_of
from shared.model.item import Base, Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Operation, Status, SubTask
from shared.model.ledger import Insert, Record
from shared.model.point import Kind, Point, Reason
from shared.model.vault import Vault, VaultKind

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
SOURCE = DiskUrl("http://127.0.0.1:10000/vlsource/disks/os.vhd")
VAULT_ACCOUNT = "http://127.0.0.1:10000/vlvault"
ITEM = ItemId("disk-1")


class RunningClock(ManualClock):
    """Every look at it takes a second, so that waiting ends without sleeping."""

    def now(self) -> datetime:
        self.advance(1)
        return super().now()


@dataclass
class World:
    """One memory world, and the command line over it."""

    ports: MemoryPorts = field(default_factory=lambda: memory_ports(RunningClock(NOW)))
    spans: Path | None = None

    def vaultline(self, *args: str, stdin: str = "", live: bool = False) -> Result:
        """Runs a command, over this world unless `live`; what is a mistake of ours is raised."""
        result = CliRunner().invoke(app, args, input=stdin, obj=None if live else self._open)
        if result.exception and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def json(self, *args: str, status: int = 0, stdin: str = "", live: bool = False) -> Any:
        """Runs a command with `--json`, expecting that exit status; what it printed."""
        result = self.vaultline(*args, "--json", stdin=stdin, live=live)
        assert result.exit_code == status, result.output
        assert result.stderr == ""
        return json.loads(result.stdout)

    def error(
        self, *args: str, status: int = 2, stdin: str = "", live: bool = False
    ) -> dict[str, str]:
        """The error object of a command that must fail."""
        told = self.json(*args, status=status, stdin=stdin, live=live)
        error: dict[str, str] = told["error"]
        return error

    @asynccontextmanager
    async def _open(self) -> AsyncIterator[Session]:
        endpoints = {"vlvault": VAULT_ACCOUNT}
        yield Session(ports=self.ports, endpoints=endpoints, spans=self.spans, poll_seconds=0)

    def put(self, *records: Record) -> None:
        """Writes rows of the one item."""
        asyncio.run(self.ports.ledger.commit(ITEM, [Insert(record) for record in records]))


@pytest.fixture
def world() -> World:
    return World()


def snapshot(of: str, at: datetime) -> Snapshot:
    return Snapshot(disk=DiskUrl(of), id=at.isoformat(), taken_at=at, size_bytes=1 << 30, chain="1")


def backup_job(at: datetime, status: Status = Status.COMPLETED, **more: Any) -> Job:
    stamp = at.strftime("%Y%m%dt%H%M%Sz")
    ended = at + timedelta(minutes=1) if status.ended else None
    given: dict[str, Any] = {
        "id": JobId(f"{ITEM}.backup-{stamp}"),
        "item_id": ITEM,
        "operation": Operation.BACKUP,
        "status": status,
        "sub_tasks": (
            SubTask(name=TAKE_SNAPSHOT, status=Status.COMPLETED),
            SubTask(name=TRANSFER, status=status),
        ),
        "started_at": at,
        "progressed_at": at,
        "ended_at": ended,
        "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }
    return Job(**{**given, **more})


def point(at: datetime, tiers: str = "sv", **more: Any) -> Point:
    job = backup_job(at)
    given: dict[str, Any] = {
        "id": point_of(job.id),
        "item_id": ITEM,
        "job_id": job.id,
        "created_at": at,
        "kind": Kind.INCREMENTAL,
        "source": snapshot(SOURCE, at) if "s" in tiers else None,
        "replica": snapshot(f"{VAULT_ACCOUNT}/main/{ITEM}/1", at) if "v" in tiers else None,
        "size_bytes": 1 << 30,
        "changed_bytes": 3 << 20,
        "copied_bytes": 3 << 20,
        "reasons": (Reason(rule="daily", until=at + timedelta(days=30)),),
        "expires_at": at + timedelta(days=30),
    }
    return Point(**{**given, **more})


def item(**more: Any) -> Item:
    given: dict[str, Any] = {
        "id": ITEM,
        "source": SOURCE,
        "policy": PolicyName("default"),
        "vault": VaultName("main"),
        "replica": DiskUrl(f"{VAULT_ACCOUNT}/main/{ITEM}/1"),
        "state": ProtectionState.PROTECTED,
        "protected_at": NOW - timedelta(days=60),
        "first_slot": NOW - timedelta(days=60),
        "last_point_at": NOW - timedelta(hours=10),
    }
    return Item(**{**given, **more})


def base_of(newest: Point) -> Base:
    assert newest.source
    assert newest.replica
    return Base(point=PointId(newest.id), source=newest.source, replica=newest.replica)


def furnish(world: World) -> list[Point]:
    """An item with three points and their jobs, a policy and a vault; the points, oldest first."""
    times = [NOW - timedelta(days=days, hours=10) for days in (40, 5, 0)]
    points = [point(times[0], "v"), point(times[1]), point(times[2])]
    jobs = [backup_job(at) for at in times]
    asyncio.run(_catalogue(world, jobs))
    world.put(item(base=base_of(points[2])), *jobs, *points)
    return points


async def _catalogue(world: World, jobs: list[Job]) -> None:
    catalog = world.ports.catalog
    name, url = VaultName("main"), f"{VAULT_ACCOUNT}/main"
    await catalog.put_policy(default_policy())
    await catalog.put_vault(Vault(name=name, kind=VaultKind.STORAGE, url=url, created_at=NOW))
    await catalog.note_item(ITEM)
    for job in jobs:
        await catalog.note_job(job.id, job.started_at)
