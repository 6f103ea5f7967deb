"""The step behind the command `cancel`."""

from shared.decide.cancel import cancel_backup, cancel_restore, check_cancellable
from shared.decide.check import cancel_check
from shared.decide.decision import Decision
from shared.model.ids import item_of
from shared.model.item import Item
from shared.model.job import Job, Operation
from shared.model.messages import CancelJob
from shared.model.transfer import Transfer
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.mirroring.cancel import cancel_mirrored
from shared.steps.transact import the, transact, watch


async def cancel_job(ports: Ports, command: CancelJob) -> Accepted:
    """Ends a backup or a check, or asks a restore to end; repeatable. Raises `NotFound`; `Invalid`
    where the job has ended otherwise."""
    item_id, job_id = item_of(command.job_id), command.job_id
    known = (await the(ports, item_id, Job, job_id)).record
    check_cancellable(known)
    await watch(ports, item_id)
    if known.errand and await cancel_mirrored(ports, known):
        return Accepted(item_id=item_id, job_id=job_id)

    async def decide() -> Decision[bool]:
        job, now = await the(ports, item_id, Job, job_id), ports.clock.now()
        check_cancellable(job.record)
        if job.record.operation is Operation.RESTORE:
            asked = cancel_restore(job, now)
            return Decision(not job.record.status.ended, asked.changes, asked.messages)
        item = await the(ports, item_id, Item)
        transfer = await ports.ledger.get(item_id, Transfer, job_id)
        end = cancel_check if job.record.operation.checks else cancel_backup
        ended = end(item, job, transfer, now)
        return Decision(False, ended.changes, ended.messages)

    restoring = await transact(ports, item_id, decide)
    return Accepted(item_id=item_id, job_id=job_id, restore=restoring)
