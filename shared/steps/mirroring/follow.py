"""The step behind `recovery-services`: one look at one job that a vault carries out.

Asked for, then its operation, then its job, until that has ended; what the vault says then of item
and points is taken over before the job ends.
"""

from dataclasses import replace
from enum import StrEnum

from shared.decide.decision import Decision
from shared.decide.errands import (
    CLOCKS,
    Sight,
    ask_to_go_on,
    errand_of,
    give_way,
    gives_way,
    look_again,
    troubled,
)
from shared.decide.mirroring import Made
from shared.model.errors import Invalid, Transient, VaultlineError
from shared.model.item import Item
from shared.model.job import Job, Operation, Status
from shared.model.messages import FollowVault
from shared.model.recovery import VaultItemState
from shared.ports import Ports
from shared.steps.mirroring.asking import ask
from shared.steps.mirroring.ending import end_case
from shared.steps.mirroring.errand import Case, case_of_look
from shared.steps.mirroring.points import take_over
from shared.steps.mirroring.reads import reads_of
from shared.steps.step import step
from shared.steps.transact import the, transact


class Progress(StrEnum):
    """What became of a look."""

    WAITS = "looked at again later"
    ENDED = "ended"
    NOTHING = "nothing to do"


@step("follow vault")
async def follow_vault(ports: Ports, request: FollowVault) -> Progress:
    """One look; repeatable, and nothing but a look where the message is late. What the vault
    cannot answer now is asked again, for a day."""
    case = await case_of_look(ports, request)
    if case is None:
        return Progress.NOTHING
    try:
        sight = await _look(ports, case)
    except VaultlineError as error:
        sight = troubled(case.job, error, ports.clock.now())
    if sight is None:
        return Progress.NOTHING
    if sight.status.ended:
        await end_case(ports, case, sight)
        return Progress.ENDED
    await _wait(ports, case, sight)
    return Progress.WAITS


async def _look(ports: Ports, case: Case) -> Sight | None:
    if case.job.status is Status.CANCELLING and case.job.mirrors:
        case = await _cancel(ports, case)
    if case.job.mirrors:
        sight: Sight | None = await _of_job(ports, case, case.job.mirrors)
    elif case.errand.operation:
        sight = await _of_operation(ports, case)
    else:
        sight = await ask(ports, case)
    if sight is not None and sight.status.ended:
        await _take_over(ports, case, sight)
    return sight


async def _cancel(ports: Ports, case: Case) -> Case:
    """Asks for the end of the vault's job; where it is too late for that, the job goes on."""
    try:
        await ports.recovery.cancel(case.vault, case.job.mirrors)
    except Invalid:

        async def go_on() -> Decision[Job]:
            row = await the(ports, case.item.id, Job, case.job.id)
            return ask_to_go_on(row)

        return replace(case, job=await transact(ports, case.item.id, go_on))
    return case


async def _of_job(ports: Ports, case: Case, id_: str) -> Sight:
    since = (case.job.slot or case.errand.asked_at or case.job.started_at) - CLOCKS
    said = await reads_of(ports, case.vault).job(id_, since)
    status = said.status if said.status.ended else Status.IN_PROGRESS
    return Sight(errand=case.errand, mirrors=id_, said=said, status=status, error=said.error)


async def _of_operation(ports: Ports, case: Case) -> Sight:
    """An operation names its job at once, or when it ends. One that the vault has forgotten
    leaves its traces: in the vault's jobs, or in the item."""
    try:
        said = await reads_of(ports, case.vault).operation(case.errand.operation)
    except Transient as error:
        if error.code != "OperationGone":
            raise
        return await _vanished(ports, case)
    if said.job:  # written down before it is looked at
        wait = ports.pace.vault_look_seconds
        return Sight(errand=case.errand, mirrors=said.job, wait_seconds=wait)
    status = said.status if said.status.ended else Status.IN_PROGRESS
    return Sight(errand=case.errand, status=status, error=said.error)


async def _vanished(ports: Ports, case: Case) -> Sight:
    if case.job.operation in (Operation.BACKUP, Operation.RESTORE):
        return Sight(errand=replace(case.errand, operation=""))
    if await _is_so(ports, case):
        return Sight(errand=case.errand, status=Status.COMPLETED)
    return Sight(errand=replace(case.errand, operation="", tried_at=None))


async def _is_so(ports: Ports, case: Case) -> bool:
    """Whether the change of protection has taken place, by the item itself."""
    its = await ports.recovery.item(case.vault, case.item.source)
    match case.job.operation:
        case Operation.CONFIGURE_PROTECTION:
            wanted = case.errand.policy.lower()
            return its is not None and not its.deleted and its.policy.lower() == wanted
        case Operation.STOP_PROTECTION if case.errand.deletes:
            return its is None or its.deleted
        case Operation.STOP_PROTECTION:
            return its is not None and its.state is VaultItemState.STOPPED
    return its is not None and not its.deleted


async def _take_over(ports: Ports, case: Case, sight: Sight) -> None:
    """What the vault says of item and points, before the job ends. Raises `Invalid` where a
    protection that was configured is not there."""
    if case.errand.new and sight.status is not Status.COMPLETED:
        return
    backed_up = case.job.operation is Operation.BACKUP and sight.said is not None
    made = [Made(job=case.job, said=sight.said)] if backed_up and sight.said else []
    told = await take_over(ports, case.item, case.vault, made)
    if case.job.operation is Operation.CONFIGURE_PROTECTION and told.item is None:
        raise Invalid(
            f"vault {case.vault.name} does not protect {case.item.source}, although it said so",
            code="ProtectionMissing",
            action="Look at the vault's jobs, then protect the machine again.",
        )


async def _wait(ports: Ports, case: Case, sight: Sight) -> None:
    async def decide() -> Decision[None]:
        row = await the(ports, case.item.id, Job, case.job.id)
        if row.record.status.ended or errand_of(row.record).looks != case.errand.looks:
            return Decision(None)
        item = await the(ports, case.item.id, Item)
        if gives_way(item.record, row.record, sight):
            return give_way(item, row, ports.clock.now())
        return look_again(row, sight, ports.clock.now(), ports.pace)

    await transact(ports, case.item.id, decide)
