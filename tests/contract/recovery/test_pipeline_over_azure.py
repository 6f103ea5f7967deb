"""The pipeline on the laptop's Azure: our items, jobs and points as Azure's vault has them, through
the real SDK. The ledger and the queues are the memory's, the clock is one for both."""

from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.contracts.policy import default_policy
from shared.memory import memory_ports
from shared.model.errors import Invalid
from shared.model.ids import ItemId, RequestId, request_job
from shared.model.item import ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Status
from shared.model.point import Tier
from shared.model.vault import Vault
from shared.steps.tick import tick
from shared.steps.vaults import WantedVault, delete_vault, make_vault
from tests.contract.recovery.world import REGION, STAGING, VAULT, FakeAzure, RecoveryWorld
from tests.contract.recovery.world import azure_world as azures
from tests.sim.world import World

pytestmark = pytest.mark.stack

WEB = ItemId("web")
SETTLED = 4000


class Pipeline(World):
    """The simulation's host, whose Recovery Services are the laptop's."""

    def __init__(self, azure: RecoveryWorld, people: FakeAzure) -> None:
        super().__init__()
        self.azure, self.people = azure, people
        self.machine = azure.machine("vm1")
        ports = memory_ports(clock=azure.clock, pace=self.ports.pace)
        self.ports = replace(ports, recovery=azure.recovery)  # type: ignore[arg-type]

    async def open(self) -> Vault:
        """A machine, a vault that we make, and the policy that is always there."""
        self.azure.make_machine("vm1")
        self.ports.machines.create(self.machine, {}).region = REGION
        await self.ports.catalog.put_policy(default_policy())
        wanted = WantedVault(name=VAULT.name, url=VAULT.url, kind=VAULT.kind, region=REGION)
        made: list[Vault] = []

        async def make() -> None:
            made.append(await make_vault(self.ports, wanted))

        await self.azure.done(make)
        return made[0]

    async def ask(self, type_: str, operation: str, **fields: Any) -> Job:
        request = await self.command(type=type_, item_id=WEB, **fields)
        await self.settle(SETTLED)
        row = await self.ports.ledger.get(WEB, Job, request_job(WEB, operation, RequestId(request)))
        assert row is not None
        return row.record

    async def protected(self) -> Job:
        fields = {"source": self.machine, "policy": "default", "vault": VAULT.name}
        return await self.ask("protect", "protect", **fields)

    async def backed_up(self) -> Job:
        return await self.ask("backup-now", "backup")


@pytest.fixture
async def pipeline() -> AsyncIterator[Pipeline]:
    async with azures() as (azure, people):
        made = Pipeline(azure, people)
        await made.open()
        yield made


async def test_a_machine_is_protected_backed_up_and_restored(pipeline: Pipeline) -> None:
    assert (await pipeline.protected()).error is None
    item = await pipeline.item(WEB)
    assert item is not None
    assert item.state is ProtectionState.INITIAL_BACKUP_PENDING
    job = await pipeline.backed_up()
    assert job.status is Status.COMPLETED, job.error
    assert {job.task(TAKE_SNAPSHOT), job.task(TRANSFER)} == {Status.COMPLETED}
    (point,) = await pipeline.points(WEB)
    assert (point.tiers, point.job_id) == ((Tier.SNAPSHOT, Tier.VAULT), job.id)
    assert point.expires_at is not None
    target = {
        "kind": "disks",
        "group": pipeline.machine.partition("/providers/")[0],
        "prefix": "r1",
        "staging_account": STAGING,
    }
    restored = await pipeline.ask("restore", "restore", target=target)
    assert restored.status is Status.COMPLETED, restored.error
    assert [task.status for task in restored.sub_tasks] == [Status.COMPLETED]


async def test_slots_adopt_the_backups_of_azures_schedule(pipeline: Pipeline) -> None:
    await pipeline.protected()
    for _ in range(2):
        at = (pipeline.ports.clock.now() + timedelta(days=1)).replace(hour=2, minute=0, second=30)
        pipeline.ports.clock.set(at)
        await tick(pipeline.ports)
        await pipeline.settle(SETTLED)
    jobs = [job for job in await pipeline.jobs(WEB) if ".backup-" in job.id]
    assert [job.status for job in jobs] == [Status.COMPLETED] * 2
    assert len({job.mirrors for job in jobs}) == 2
    assert [point.job_id for point in await pipeline.points(WEB)] == [job.id for job in jobs]


async def test_a_transfer_that_fails_is_a_warning(pipeline: Pipeline) -> None:
    await pipeline.protected()
    pipeline.azure.fail_transfer()
    job = await pipeline.backed_up()
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert job.error is not None
    assert job.error.code == "DiffCopyFailedToTransferData"
    (point,) = await pipeline.points(WEB)
    assert point.tiers == (Tier.SNAPSHOT,)


async def test_stopped_deleted_and_had_back(pipeline: Pipeline) -> None:
    await pipeline.protected()
    await pipeline.backed_up()
    stopped = await pipeline.ask("stop-protection", "stop", delete_data=False)
    assert stopped.status is Status.COMPLETED, stopped.error
    gone = await pipeline.ask("stop-protection", "stop", delete_data=True)
    assert gone.status is Status.COMPLETED, gone.error
    item = await pipeline.item(WEB)
    assert item is not None
    assert item.delete_after is not None
    with pytest.raises(Invalid, match="holds 1 item"):
        await delete_vault(pipeline.ports, VAULT.name)
    back = await pipeline.ask("undelete", "undelete")
    assert back.status is Status.COMPLETED, back.error
    assert (await pipeline.protected()).status is Status.COMPLETED
    item = await pipeline.item(WEB)
    assert item is not None
    assert (item.delete_after, item.state) == (None, ProtectionState.PROTECTED)
    assert len(await pipeline.points(WEB)) == 1


async def test_a_backup_is_cancelled_in_its_snapshot(pipeline: Pipeline) -> None:
    await pipeline.protected()
    request = await pipeline.command(type="backup-now", item_id=WEB)
    id_ = request_job(WEB, "backup", RequestId(request))
    for _ in range(200):
        row = await pipeline.ports.ledger.get(WEB, Job, id_)
        if row is not None and row.record.mirrors:
            break
        if not await pipeline.serve_one():
            await pipeline.wait()
    await pipeline.command(type="cancel", job_id=id_)
    await pipeline.settle(SETTLED)
    row = await pipeline.ports.ledger.get(WEB, Job, id_)
    assert row is not None
    assert row.record.status is Status.CANCELLED
    assert await pipeline.points(WEB) == []


async def test_a_backup_that_somebody_else_asked_for_becomes_a_job(pipeline: Pipeline) -> None:
    await pipeline.protected()
    vault = await pipeline.ports.catalog.vault(VAULT.name)
    until = pipeline.ports.clock.now() + timedelta(days=30)
    await pipeline.azure.recovery.backup(vault, pipeline.machine, until)
    pipeline.ports.clock.advance(3700)
    await tick(pipeline.ports)
    await pipeline.settle(SETTLED)
    (job,) = [job for job in await pipeline.jobs(WEB) if ".backup-" in job.id]
    assert (job.status, job.slot) == (Status.COMPLETED, None)
    assert [point.job_id for point in await pipeline.points(WEB)] == [job.id]
