"""How a job ends that a vault carried out, and what becomes of its item then."""

from dataclasses import replace

from shared.decide.decision import Decision
from shared.decide.errands import Sight, end_errand, errand_of
from shared.decide.posting import expire_message
from shared.decide.schedule import next_slot
from shared.model.errors import Cancelled, VaultlineError
from shared.model.ids import ItemId, JobId
from shared.model.item import Item
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Delete, Replace, RowChange, update
from shared.ports import DueSlot, Ports
from shared.steps.mirroring.errand import Case, case_of
from shared.steps.policies import policy_of
from shared.steps.transact import the, transact


async def end_case(ports: Ports, case: Case, sight: Sight) -> None:
    """The job's end, and its item's with it where it was to be protected in vain."""
    if case.job.operation is Operation.CONFIGURE_PROTECTION:
        if sight.status is Status.COMPLETED:
            await _enter_slot(ports, case)
        elif case.errand.new:
            await _take_back(ports, case, sight)
            return
    await transact(ports, case.item.id, lambda: _end(ports, case, sight))


async def fail_mirrored(ports: Ports, job: Job, error: VaultlineError) -> None:
    """Gives the job up, whatever its vault makes of it."""
    case = await case_of(ports, job.item_id, job.id)
    if case is not None:
        await end_case(ports, case, Sight(status=Status.FAILED, error=error.detail()))


async def _enter_slot(ports: Ports, case: Case) -> None:
    """Before the item counts as protected: no slot of it is ever forgotten."""
    policy = await policy_of(ports, case.item.policy)
    slot = next_slot(policy.schedule, policy.time_zone, ports.clock.now())
    await ports.due.put_slot(DueSlot(item=case.item.id, slot=slot))


async def _end(ports: Ports, case: Case, sight: Sight) -> Decision[None]:
    """Nothing, where the job has ended meanwhile, or another look is the one that counts."""
    now = ports.clock.now()
    row = await the(ports, case.item.id, Job, case.job.id)
    if row.record.status.ended or errand_of(row.record).looks != case.errand.looks:
        return Decision(None)
    item = await ports.ledger.get(case.item.id, Item)
    ended = end_errand(item, row, sight, now)
    deleted = case.errand.deletes and sight.status is Status.COMPLETED
    untold = sight.status is Status.FAILED and sight.said is None
    if not (deleted or untold):
        return ended
    changes = tuple(_to_be_seen(change, case, deleted=deleted) for change in ended.changes)
    message = expire_message(case.item.id, case.job.id, now)
    return Decision(None, changes, (*ended.messages, message))


def _to_be_seen(change: RowChange, case: Case, *, deleted: bool) -> RowChange:
    """The item, of which a look at the vault, which follows, tells what has become: its data is
    deleted, softly or not; or its vault did not do what it was asked for."""
    if not (isinstance(change, Replace) and isinstance(change.record, Item)):
        return change
    item = change.record
    at = item.delete_after or case.job.started_at if deleted else item.delete_after
    return replace(change, record=replace(item, delete_after=at, expiry_due=True))


async def _take_back(ports: Ports, case: Case, sight: Sight) -> None:
    """The machine is not protected: its claim and its listing go, then its row, and whatever
    backup waited for it."""
    await ports.inventory.release(case.item.source, case.item.id)
    await ports.catalog.forget_item(case.item.id)

    async def decide() -> Decision[None]:
        row = await the(ports, case.item.id, Job, case.job.id)
        item = await ports.ledger.get(case.item.id, Item)
        if row.record.status.ended or item is None:
            return Decision(None)
        ended = end_errand(None, row, sight, ports.clock.now())
        waiting = [await _drop(ports, case.item.id, job) for job in item.record.queued]
        gone = Delete(item.record, item.etag)
        return Decision(None, (*ended.changes, *waiting, gone))

    await transact(ports, case.item.id, decide)


async def _drop(ports: Ports, item: ItemId, id_: JobId) -> RowChange:
    row = await the(ports, item, Job, id_)
    error = Cancelled(f"item {item} could not be protected", action="Protect it, then back it up.")
    return update(row, row.record.end(Status.CANCELLED, ports.clock.now(), error.detail()))
