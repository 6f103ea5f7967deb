"""What happens in Azure while it works for us, as the laptop's Azure tells it: the job ends in
words, what is there stays, and a later try succeeds."""

from collections.abc import AsyncIterator, Callable

import pytest

from shared.model.errors import Invalid
from shared.model.ids import JobId, RequestId, request_job
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Status
from shared.model.point import Tier
from shared.model.vault import Redundancy
from shared.steps.mirroring.vaults import vault_inside
from shared.steps.vaults import delete_vault
from tests.contract.recovery.test_pipeline_over_azure import SETTLED, WEB, Pipeline
from tests.contract.recovery.world import REGION, STAGING, VAULT
from tests.contract.recovery.world import azure_world as azures
from tests.unit.recovery_world import SUBSCRIPTION

pytestmark = pytest.mark.stack

GROUP = f"/subscriptions/{SUBSCRIPTION}/resourcegroups/restored"
TARGET = {"kind": "disks", "group": GROUP, "prefix": "r1", "staging_account": STAGING}


@pytest.fixture
async def pipeline() -> AsyncIterator[Pipeline]:
    """A machine that is protected."""
    async with azures() as (azure, people):
        made = Pipeline(azure, people)
        await made.open()
        await made.protected()
        people.core.groups.ensure(SUBSCRIPTION, "restored", REGION)
        yield made


async def begun(
    pipeline: Pipeline, operation: str, so_far: Callable[[Job], bool], **command: object
) -> JobId:
    """A job that has come so far."""
    request = await pipeline.command(item_id=WEB, **command)
    id_ = request_job(WEB, operation, RequestId(request))
    for _ in range(SETTLED):
        row = await pipeline.ports.ledger.get(WEB, Job, id_)
        if row is not None and so_far(row.record):
            return id_
        assert await pipeline.turn()
    raise AssertionError("it never comes so far")


async def ended(pipeline: Pipeline, id_: JobId) -> Job:
    await pipeline.settle(SETTLED)
    row = await pipeline.ports.ledger.get(WEB, Job, id_)
    assert row is not None
    return row.record


async def well(pipeline: Pipeline) -> None:
    """Nothing is left over."""
    item = await pipeline.item(WEB)
    assert item is not None
    assert not item.at_work
    assert pipeline.ports.bus.dead_letters == []


@pytest.mark.fault(51)
async def test_the_machine_is_deleted_while_its_snapshot_is_taken(pipeline: Pipeline) -> None:
    before = await pipeline.backed_up()
    id_ = await begun(
        pipeline,
        "backup",
        lambda job: bool(job.mirrors) and job.task(TAKE_SNAPSHOT) is Status.IN_PROGRESS,
        type="backup-now",
    )
    pipeline.people.cloud.machines.clear()
    job = await ended(pipeline, id_)
    assert (job.status, job.error and job.error.code) == (Status.FAILED, "UserErrorVmNotFoundV2")
    assert [point.job_id for point in await pipeline.points(WEB)] == [before.id]
    await well(pipeline)


@pytest.mark.fault(51, 59)
async def test_the_machine_is_deleted_during_its_transfer(pipeline: Pipeline) -> None:
    """Its snapshot is a point all the same."""
    id_ = await begun(
        pipeline,
        "backup",
        lambda job: job.task(TRANSFER) is Status.IN_PROGRESS,
        type="backup-now",
    )
    pipeline.people.cloud.machines.clear()
    job = await ended(pipeline, id_)
    assert job.status is Status.COMPLETED_WITH_WARNINGS
    assert (job.task(TAKE_SNAPSHOT), job.task(TRANSFER)) == (Status.COMPLETED, Status.FAILED)
    assert job.error is not None
    (point,) = await pipeline.points(WEB)
    assert (point.job_id, point.tiers) == (id_, (Tier.SNAPSHOT,))
    await well(pipeline)


@pytest.mark.fault(51)
async def test_the_target_group_goes_during_a_restore(pipeline: Pipeline) -> None:
    await pipeline.backed_up()
    id_ = await begun(
        pipeline, "restore", lambda job: bool(job.mirrors), type="restore", target=TARGET
    )
    pipeline.people.core.groups.forget(SUBSCRIPTION, "restored")
    job = await ended(pipeline, id_)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert "group" in job.error.message
    await well(pipeline)
    pipeline.people.core.groups.ensure(SUBSCRIPTION, "restored", REGION)
    again = await pipeline.ask("restore", "restore", target=TARGET)
    assert again.status is Status.COMPLETED, again.error


async def test_a_restore_is_cancelled(pipeline: Pipeline) -> None:
    await pipeline.backed_up()
    id_ = await begun(
        pipeline, "restore", lambda job: bool(job.mirrors), type="restore", target=TARGET
    )
    await pipeline.command(type="cancel", job_id=id_)
    job = await ended(pipeline, id_)
    assert (job.status, job.error and job.error.code) == (Status.CANCELLED, "Cancelled")
    assert pipeline.people.cloud.disks == {}
    await well(pipeline)


@pytest.mark.fault(51)
async def test_a_lock_on_azures_group_of_snapshots_fails_a_backup_in_words(
    pipeline: Pipeline,
) -> None:
    group = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/AzureBackupRG_{REGION}_1"
    await pipeline.backed_up()
    lock = f"{group}/providers/Microsoft.Authorization/locks/keep"
    body = {"id": lock, "properties": {"level": "ReadOnly"}}
    pipeline.people.core.store.put("locks", lock, body)
    job = await pipeline.backed_up()
    assert job.status is Status.FAILED
    assert job.error is not None
    assert "lock" in f"{job.error.message} {job.error.recommended_action}".lower()
    await well(pipeline)


async def test_azure_deletes_no_vault_with_items(pipeline: Pipeline) -> None:
    """Ours refuse first; those that somebody else protects there, and softly deleted ones, Azure
    itself refuses."""
    vault = await pipeline.ports.catalog.vault(VAULT.name)
    with pytest.raises(Invalid, match="vm1"):
        await pipeline.ports.recovery.delete(vault)
    gone = await pipeline.ask("stop-protection", "stop", delete_data=True)
    assert gone.status is Status.COMPLETED
    with pytest.raises(Invalid, match=r"vm1.*deleted, kept a while"):
        await pipeline.ports.recovery.delete(vault)
    with pytest.raises(Invalid, match="holds 1 item"):
        await delete_vault(pipeline.ports, VAULT.name)
    inside = await vault_inside(pipeline.ports, vault)
    assert inside is not None
    assert inside.softly_deleted == (pipeline.machine,)
    assert vault.redundancy is Redundancy.GRS


VANISHING = {
    "backup": ("^Backups_Trigger$", {"type": "backup-now"}),
    "restore": ("^Restores_Trigger$", {"type": "restore", "target": TARGET}),
    "stop": ("^ProtectedItems_CreateOrUpdate$", {"type": "stop-protection", "delete_data": False}),
    "delete": ("^ProtectedItems_Delete$", {"type": "stop-protection", "delete_data": True}),
}


@pytest.mark.parametrize("work", VANISHING)
@pytest.mark.fault(50)
async def test_an_operation_whose_status_vanishes(pipeline: Pipeline, work: str) -> None:
    """What it did is found in the vault's jobs, or in the item; it is not begun again."""
    await pipeline.backed_up()
    operation, command = VANISHING[work]
    before = len(await vault_jobs(pipeline))
    pipeline.people.fault(operation=operation, operation_fate="vanished")
    job = await pipeline.ask(
        str(command["type"]), work.replace("delete", "stop"), **_fields(command)
    )
    assert job.status is Status.COMPLETED, job.error
    assert [each["fired"] for each in pipeline.people.core.faults.counts()] == [1]
    assert len(await vault_jobs(pipeline)) == before + 1
    await well(pipeline)


@pytest.mark.fault(50)
async def test_a_protection_whose_status_vanishes(pipeline: Pipeline) -> None:
    await pipeline.ask("stop-protection", "stop", delete_data=False)
    pipeline.people.fault(operation="^ProtectedItems_CreateOrUpdate$", operation_fate="vanished")
    job = await pipeline.protected()
    assert job.status is Status.COMPLETED, job.error
    assert [each["fired"] for each in pipeline.people.core.faults.counts()] == [1]
    await well(pipeline)


async def vault_jobs(pipeline: Pipeline) -> list[str]:
    vault = await pipeline.ports.catalog.vault(VAULT.name)
    listing = pipeline.ports.recovery.jobs(vault, VAULT.created_at)
    return [job.id async for page in listing for job in page]


def _fields(command: dict[str, object]) -> dict[str, object]:
    return {name: value for name, value in command.items() if name != "type"}
