"""How a job ends before its time that a vault carries out."""

from shared.decide.decision import Decision
from shared.decide.errands import ask_to_end
from shared.model.job import Job, Status
from shared.ports import Ports
from shared.steps.transact import the, transact


async def cancel_mirrored(ports: Ports, job: Job) -> bool:
    """Whether the vault is to be asked: not about a backup that still waits for its turn."""
    if job.status is Status.NOT_STARTED:
        return False

    async def decide() -> Decision[None]:
        return ask_to_end(await the(ports, job.item_id, Job, job.id), ports.clock.now())

    await transact(ports, job.item_id, decide)
    return True
