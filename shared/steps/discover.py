"""The step behind the command `discover`: finds disks in a scope, and registers each."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import replace
from functools import partial

from shared.codec import to_json
from shared.decide.decision import Decision
from shared.decide.discovery import is_under_way, push_discovery
from shared.model.errors import Conflict, ErrorDetail, VaultlineError
from shared.model.ids import JobId, default_item_id, request_job
from shared.model.inventory import DISCOVERY, Discovered, FoundDisk, KnownDisk
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Insert, update
from shared.model.messages import Discover
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.requests import DISCOVER, REGISTER, done_job, new_job
from shared.steps.side_by_side import side_by_side
from shared.steps.transact import the, transact, watch


async def discover(ports: Ports, command: Discover) -> Accepted:
    """Registers what the scope holds; repeatable: a disk that is known is not registered twice.

    The discovery has a job of its own, and so has each disk's registration. One that is cut off
    is done again, by its message or by the reconciler: it reads the whole scope, registers what
    is new, and ends.
    """
    await watch(ports, DISCOVERY)
    job_id = request_job(DISCOVERY, DISCOVER, command.request_id)
    await ports.catalog.note_job(job_id, ports.clock.now())
    status = await transact(ports, DISCOVERY, lambda: _begin(ports, command, job_id))
    if not status.ended:
        try:
            discovered = await _register_all(ports, command, job_id)
        except VaultlineError as error:
            if not error.transient:
                await _end(ports, job_id, Discovered(), error.detail())
            raise
        await _end(ports, job_id, discovered)
    return Accepted(item_id=DISCOVERY, job_id=job_id)


async def _begin(ports: Ports, command: Discover, job_id: JobId) -> Decision[Status]:
    known = await ports.ledger.get(DISCOVERY, Job, job_id)
    if known is not None:
        return Decision(known.record.status)
    job = new_job(DISCOVERY, job_id, command, ports.clock.now())
    return Decision(job.status, (Insert(replace(job, detail=to_json(command))),))


async def resume_discoveries(ports: Ports) -> bool:
    """Begins those again that stopped moving; whether any is under way."""
    rows = [row async for row in ports.ledger.rows(DISCOVERY, Job)]
    hoped = [row.record.id for row in rows if is_under_way(row.record)]
    for job_id in hoped:
        await transact(ports, DISCOVERY, partial(_push, ports, job_id))
    return bool(hoped)


async def _push(ports: Ports, job_id: JobId) -> Decision[None]:
    job = await the(ports, DISCOVERY, Job, job_id)
    return push_discovery(job, ports.clock.now(), ports.pace)


async def _register_all(ports: Ports, command: Discover, job_id: JobId) -> Discovered:
    total = Discovered()
    async for found in ports.disks.search(command.scope):
        new = await _register_each(ports, command, found)
        total = Discovered(found=total.found + len(found), registered=total.registered + new)
        await transact(ports, DISCOVERY, lambda: _moved_on(ports, job_id))
    return total


async def _moved_on(ports: Ports, job_id: JobId) -> Decision[None]:
    """Told after each page, so that nobody takes a long search for a dead one."""
    job = await the(ports, DISCOVERY, Job, job_id)
    if job.record.status.ended:
        return Decision(None)
    moved = replace(job.record, progressed_at=ports.clock.now())
    return Decision(None, (update(job, moved),))


async def _register_each(ports: Ports, command: Discover, found: Sequence[FoundDisk]) -> int:
    """How many of the disks were new."""
    return sum(await side_by_side(found, lambda disk: _register(ports, command, disk)))


async def _register(ports: Ports, command: Discover, disk: FoundDisk) -> bool:
    """The job first: a disk that is known was registered by one."""
    if await ports.inventory.disk(disk.url) is not None:
        return False
    item_id, now = default_item_id(disk.url), ports.clock.now()
    job_id = request_job(item_id, REGISTER, command.request_id)
    await ports.catalog.note_job(job_id, now)
    done = replace(done_job(item_id, job_id, command, now), operation=Operation.REGISTER)
    with suppress(Conflict):  # a repeat's own
        await ports.ledger.commit(item_id, [Insert(done)])
    known = KnownDisk(url=disk.url, size_bytes=disk.size_bytes, registered_at=now)
    return await ports.inventory.register(known)


async def _end(
    ports: Ports, job_id: JobId, discovered: Discovered, error: ErrorDetail | None = None
) -> None:
    async def decide() -> Decision[None]:
        job = await the(ports, DISCOVERY, Job, job_id)
        if job.record.status.ended:
            return Decision(None)
        status = Status.FAILED if error else Status.COMPLETED
        ended = job.record.end(status, ports.clock.now(), error)
        return Decision(None, (update(job, replace(ended, detail=to_json(discovered))),))

    await transact(ports, DISCOVERY, decide)
