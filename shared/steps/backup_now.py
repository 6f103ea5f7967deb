"""The step behind the command `backup-now`."""

from dataclasses import replace

from shared import telemetry
from shared.decide.backup import enqueue_backup, new_backup
from shared.decide.decision import Decision
from shared.decide.requests import fingerprint
from shared.model.errors import Invalid
from shared.model.ids import request_job
from shared.model.item import Item, ProtectionState
from shared.model.job import Job
from shared.model.messages import BackupNow, TakeSnapshot
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.keeping import retained_until
from shared.steps.requests import BACKUP
from shared.steps.transact import the, transact, watch


async def backup_now(ports: Ports, command: BackupNow) -> Accepted:
    """A backup outside the schedule; repeatable. From here on the job exists, whatever becomes of
    its message."""
    item_id = command.item_id
    item = (await the(ports, item_id, Item)).record
    job_id, now = request_job(item_id, BACKUP, command.request_id), ports.clock.now()
    retain_until = await retained_until(ports, item, command.retain_until)
    request = TakeSnapshot(item_id=item_id, job_id=job_id, retain_until=retain_until)
    job = replace(new_backup(request, now, telemetry.trace_id()), request=fingerprint(command))
    await watch(ports, item_id)
    if await ports.ledger.get(item_id, Job, job_id) is None:
        await ports.catalog.note_job(job_id, now)
    await transact(ports, item_id, lambda: _enqueue(ports, job))
    return Accepted(item_id=item_id, job_id=job_id)


async def _enqueue(ports: Ports, job: Job) -> Decision[None]:
    item = await the(ports, job.item_id, Item)
    if await ports.ledger.get(job.item_id, Job, job.id) is not None:
        return Decision(None)
    if item.record.state is ProtectionState.PROTECTION_STOPPED:
        raise Invalid(
            f"protection of item {job.item_id} is stopped",
            action="Protect it again, then back it up.",
        )
    return enqueue_backup(item, job)
