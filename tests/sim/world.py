"""The whole pipeline on memory ports: a host that serves queues, timers and orchestrations.

Time moves only when nothing else can happen. A `Crash` is `kill -9`: whatever the step was doing
ends there, its message stays locked until the lock is over.
"""

import json
from collections.abc import Generator
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from functions.restores import PARTS, parts_flow, plain, put_off, restore_flow, restore_step
from shared.codec import to_dict
from shared.contracts.policy import parse_policy
from shared.memory import MemoryPorts, memory_ports
from shared.model.deferral import Deferred
from shared.model.errors import VaultlineError
from shared.model.ids import DiskUrl, ItemId, JobId, VaultName, item_id
from shared.model.item import Item
from shared.model.job import Job
from shared.model.messages import COMMANDS, QUEUES, ExpirePoints, Outgoing
from shared.model.pace import Pace
from shared.model.point import Point
from shared.model.vault import Vault, VaultKind
from shared.steps import restore as restore_steps
from shared.steps.commands import Accepted
from shared.steps.dispatch import Delivery, dispatch
from shared.steps.reconcile import reconcile
from shared.steps.retention import expire_points

DISK = DiskUrl("https://vlsource.blob.core.windows.net/disks/os.vhd")
ITEM = item_id("os-disk")
EXTENT_BYTES = 4 * 1024 * 1024
"""As small as extents may be: most replicas of the simulation are several page blobs."""
VAULT_URL = "https://vlvault.blob.core.windows.net/vault"
POLICY = """
name: gold
time_zone: UTC
schedule: {frequency: daily, at: ["02:00"]}
instant_restore_days: 2
retention: {daily: {keep: 30}}
checks: {initial: false}
"""
CHECKED = POLICY.replace("initial: false", "initial: true")
"""With the check after each full copy that policies have unless they say no."""


START = datetime(2000, 1, 1, tzinfo=UTC)


class Crash(BaseException):
    """The process dies here."""


class World:
    """One item's world: memory ports, the host that serves them, and a model of the disk."""

    def __init__(self, seed: int = 0, extent_bytes: int = EXTENT_BYTES) -> None:
        self.ports: MemoryPorts = memory_ports(pace=Pace(stall_seconds=60, rest_seconds=120))
        self.random = Random(seed)
        self.accepted: list[Accepted] = []
        self.running: dict[JobId, dict[str, Any]] = {}
        self.crashes = 0
        self.sources: dict[str, bytes] = {}
        self.requests = 0
        self.extent_bytes = extent_bytes

    async def set_up(self, policy: str = POLICY) -> None:
        await self.ports.catalog.put_policy(parse_policy(policy))
        await self.ports.catalog.put_vault(
            Vault(
                name=VaultName("vault"),
                kind=VaultKind.STORAGE,
                url=VAULT_URL,
                created_at=self.ports.clock.now(),
                extent_bytes=self.extent_bytes,
            )
        )

    # ------------------------------------------------------------ what people do

    async def command(self, **fields: Any) -> str:
        """Posts a command; returns its request id."""
        self.requests += 1
        request_id = fields.setdefault("request_id", f"request-{self.requests}")
        body = json.dumps(fields, default=str)
        message = Outgoing(queue=COMMANDS, message_id=request_id, body=body)
        await self.look(self.ports.bus.send([message]))
        return str(request_id)

    async def protect(self, source: DiskUrl = DISK, item: ItemId = ITEM) -> None:
        await self.command(
            type="protect", source=source, policy="gold", vault="vault", item_id=item
        )

    # ------------------------------------------------------------ the host

    async def settle(self, limit: int = 400) -> None:
        """Serves until nothing is under way, moving time on whenever it must."""
        for _ in range(limit):
            if not await self.turn():
                return
        raise AssertionError("the work does not end")

    async def turn(self) -> bool:
        """The next thing that happens: something is served, or time passes. False at rest."""
        if await self.serve_one():
            return True
        if await self.survive(self._at_rest()):
            return False
        await self.wait()
        return True

    async def expire(self) -> None:
        """A retention run."""
        await expire_points(self.ports, ExpirePoints(item_id=ITEM))

    async def wait(self) -> None:
        """Time passes: to the next message, or a while; the reconciler's timer fires."""
        at = self.ports.bus.next_visible_at()
        step = self.ports.clock.now() + timedelta(seconds=15)
        self.ports.clock.set(min(at, step) if at and at > self.ports.clock.now() else step)
        await self.reconcile()

    async def reconcile(self, ports: MemoryPorts | None = None) -> None:
        """The reconciler's timer fires; restores that it finds hanging are started again."""
        found = await self.survive(reconcile(ports or self.ports))
        for accepted in found.restores if found else ():
            self._start(accepted)

    async def _at_rest(self) -> bool:
        if any(self.ports.bus.messages(queue) for queue in QUEUES) or self.running:
            return False
        items = [await self.item(id_) async for id_ in self.ports.catalog.items()]
        return not any(item and (item.at_work or item.expiry_due) for item in items)

    async def survive(self, work: Any) -> Any:
        """Runs one piece of work; a crash or a transient failure ends it, nothing else."""
        try:
            return await work
        except Crash:
            self.crashes += 1
        except BaseExceptionGroup as group:
            if group.split(Crash)[0] is None:
                raise
            self.crashes += 1
        except VaultlineError as error:
            if not error.transient:
                raise
        return None

    async def serve_one(self, *only: str) -> bool:
        """One message, or one orchestration, picked at random; False where there is none."""
        queues = [queue for queue in only or QUEUES if self.ports.bus.available(queue)]
        choices = len(queues) + (0 if only else len(self.running))
        if not choices:
            return False
        pick = self.random.randrange(choices)
        if pick < len(queues):
            await self._deliver(queues[pick])
        else:
            await self._orchestrate(list(self.running)[pick - len(queues)])
        return True

    async def _deliver(self, queue: str) -> None:
        locked = self.ports.bus.receive(queue, self.random.randrange)
        assert locked is not None
        delivery = Delivery(
            queue=queue,
            message_id=locked.message.message_id,
            lock_token=locked.lock_token,
            body=locked.message.body.encode(),
        )
        try:
            result = await dispatch(self.ports, delivery)
            if isinstance(result, Accepted):
                self.accepted.append(result)
                if result.restore:
                    self._start(result)
        except Crash:
            self.crashes += 1
            return
        except VaultlineError as error:
            if not error.transient:
                raise
            end = self.ports.bus.abandon
        else:
            end = self.ports.bus.complete
        with suppress(VaultlineError):  # dead-lettered by the step, or its lock is over
            end(locked)

    def _start(self, accepted: Accepted) -> None:
        self.running.setdefault(
            accepted.job_id, {"item_id": accepted.item_id, "job_id": accepted.job_id}
        )

    async def _orchestrate(self, job: JobId) -> None:
        """Runs an orchestration from its beginning: activities are repeatable, so replaying
        them all after a crash asks more of them than Durable does."""
        flow = restore_flow(SimpleContext(self.running[job]))
        done, _ = await self._drive(flow)
        if done:
            del self.running[job]

    async def _drive(self, flow: Generator[Any, Any, Any]) -> tuple[bool, Any]:
        value = None
        while True:
            try:
                asked = flow.send(value)
            except StopIteration as stop:
                return True, stop.value
            try:
                value = await self._answer(asked)
            except Crash:
                self.crashes += 1
                return False, None
            except VaultlineError as error:
                if not error.transient:
                    raise
                return False, None

    async def _answer(self, asked: Any) -> Any:
        kind, name, given = asked
        if kind == "all":
            return [await self._answer(each) for each in given]
        if kind == "timer":
            self.ports.clock.set(self.ports.clock.now() + given)
            return None
        if kind == "sub":
            assert name == PARTS
            flow = parts_flow(SimpleContext(given))
            value = None
            while True:
                try:
                    value = await self._answer(flow.send(value))
                except StopIteration as stop:
                    return stop.value
        return await self._activity(name, given)

    async def _activity(self, name: str, given: dict[str, Any]) -> dict[str, Any]:
        subject = restore_step(given)
        steps: dict[str, Any] = {
            "restore_prepare": restore_steps.prepare_target,
            "restore_plan": restore_steps.plan_restore,
            "restore_copy": restore_steps.copy_restore_part,
            "restore_finish": restore_steps.finish_restore,
        }
        try:
            if name == "restore_fail":
                error = VaultlineError(given["error"]["message"], code=given["error"]["code"])
                await restore_steps.fail_restore(self.ports, subject, error)
                return {"value": None, "error": None}
            return {"value": plain(await steps[name](self.ports, subject)), "error": None}
        except Deferred as error:
            await restore_steps.note_wait(self.ports, subject)
            return put_off(error)
        except VaultlineError as error:
            if error.transient:
                raise
            return {"value": None, "error": to_dict(error.detail())}

    # ------------------------------------------------------------ looking

    async def look(self, work: Any) -> Any:
        """What people and tests do from outside: no fault strikes there."""
        planned, self.ports.faults.planned = self.ports.faults.planned, []
        try:
            return await work
        finally:
            self.ports.faults.planned = planned

    async def item(self, id_: ItemId = ITEM) -> Item | None:
        row = await self.ports.ledger.get(id_, Item)
        return row.record if row else None

    async def let_go(self) -> None:
        """Nobody leases the disk, no point is pinned."""
        assert not self.ports.storage.blob(DISK).lease_id
        assert not any(point.pins for point in await self.points())

    async def points(self, id_: ItemId = ITEM) -> list[Point]:
        rows = [row.record async for row in self.ports.ledger.rows(id_, Point)]
        return sorted(rows, key=lambda point: point.created_at)

    async def jobs(self, id_: ItemId = ITEM) -> list[Job]:
        rows = [row.record async for row in self.ports.ledger.rows(id_, Job)]
        return sorted(rows, key=lambda job: job.started_at)


@dataclass
class SimpleContext:
    """What an orchestrator asks of Durable, as plain tuples."""

    request: dict[str, Any]

    def get_input(self) -> dict[str, Any]:
        return self.request

    def call_activity(self, name: str, given: Any) -> tuple[str, str, Any]:
        return ("activity", name, given)

    def call_sub_orchestrator(self, name: str, given: Any) -> tuple[str, str, Any]:
        return ("sub", name, given)

    @property
    def current_utc_datetime(self) -> datetime:
        """What timers are counted from."""
        return START

    def create_timer(self, fire_at: datetime) -> tuple[str, str, Any]:
        return ("timer", "", fire_at - START)

    def task_all(self, tasks: list[Any]) -> tuple[str, str, Any]:
        return ("all", "", tasks)
