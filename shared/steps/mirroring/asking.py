"""How a vault is asked for each kind of work, once or as often as it bears.

Changes of protection may be asked for again: the vault ends up the same. A backup or a restore may
not: whoever does not know whether it was begun looks for it among the vault's jobs first.
"""

from collections.abc import Awaitable, Callable, Container
from dataclasses import replace
from datetime import datetime, timedelta

from shared.decide.errands import CLOCKS, SKEW, SLOT_PATIENCE, Sight
from shared.decide.retention import ON_DEMAND_DAYS
from shared.model.deferral import Deferred
from shared.model.errors import Conflict, ErrorDetail, Invalid, VaultGone
from shared.model.job import Operation, Status
from shared.model.recovery import VaultJob
from shared.ports import Ports
from shared.steps.mirroring.errand import Case, not_asked, note_asking
from shared.steps.mirroring.reads import reads_of, taken_by_ours

SETTLE_LOOKS = 8
"""So many first waits after a request whose answer was lost, its job is in the vault's list, or the
request came to nothing."""
BUSY_SECONDS = 60.0

Begin = Callable[[], Awaitable[str]]


async def ask(ports: Ports, case: Case) -> Sight | None:
    """Has the vault begin the work, or finds that it has; None where another look does so in this
    moment."""
    match case.job.operation:
        case Operation.BACKUP if case.job.slot is not None:
            return await _scheduled(ports, case, case.job.slot)
        case Operation.BACKUP:
            return await _once(ports, case, "Backup", lambda: _back_up(ports, case))
        case Operation.RESTORE:
            return await _once(ports, case, "Restore", lambda: _restore(ports, case))
        case Operation.CONFIGURE_PROTECTION:
            return await _configure(ports, case)
        case Operation.STOP_PROTECTION:
            return await _stop(ports, case)
    vault, machine = case.vault, case.item.source
    return await _try(ports, case, lambda: ports.recovery.undelete(vault, machine))


# ---------------------------------------------------------------- backups and restores


async def _scheduled(ports: Ports, case: Case, slot: datetime) -> Sight:
    """The vault begins the backups of its schedule itself: the slot's is found, and followed."""
    found = await _find(ports, case, "Backup", slot - SKEW)
    if found is not None:
        return Sight(errand=case.errand, mirrors=found.id)
    if case.job.status is Status.CANCELLING:
        return Sight(status=Status.CANCELLED)
    if ports.clock.now() <= slot + SLOT_PATIENCE:
        return Sight(errand=case.errand)
    hours = int(SLOT_PATIENCE / timedelta(hours=1))
    error = ErrorDetail(
        code="ScheduledBackupMissing",
        message=f"vault {case.vault.name} began no backup within {hours} hours of its slot "
        f"{slot:%Y-%m-%d %H:%MZ}",
        recommended_action="See in the vault that the machine is under its policy and that no "
        "other backup was under way then; back it up now if it cannot wait.",
    )
    return Sight(status=Status.FAILED, error=error)


async def _back_up(ports: Ports, case: Case) -> str:
    now = ports.clock.now()
    until = case.job.retain_until or now + timedelta(days=ON_DEMAND_DAYS)
    return await ports.recovery.backup(case.vault, case.item.source, until)


async def _restore(ports: Ports, case: Case) -> str:
    assert case.errand.restore is not None
    return await ports.recovery.restore(case.vault, case.errand.restore)


async def _once(ports: Ports, case: Case, kind: str, begin: Begin) -> Sight | None:
    """What must not be begun twice: looked for where it may have been begun before."""
    asked_at, tried_at, known = case.errand.asked_at, case.errand.tried_at, case.errand.known
    if asked_at is not None:
        found = await _find_begun(ports, case, kind, asked_at)
        if found is not None:
            return Sight(errand=case.errand, mirrors=found.id)
        if tried_at is not None and ports.clock.now() < tried_at + _settles(ports):
            return Sight(errand=case.errand, wait_seconds=ports.pace.vault_look_seconds)
    if case.job.status is Status.CANCELLING:
        return Sight(status=Status.CANCELLED)
    if asked_at is None:
        known = await _known(ports, case, kind)
    return await _try(ports, case, begin, known)


async def _known(ports: Ports, case: Case, kind: str) -> tuple[str, ...] | None:
    """What nobody shall take for what is about to be begun; None where the vault has been asked
    too often to tell."""
    try:
        mine = await _mine(ports, case, kind, ports.clock.now() - CLOCKS)
    except Deferred:
        return None
    return tuple(job.id for job in mine)


async def _find_begun(ports: Ports, case: Case, kind: str, asked_at: datetime) -> VaultJob | None:
    """What the vault began when it was asked, though nobody heard its answer."""
    known = case.errand.known
    since = asked_at - (SKEW if known is None else CLOCKS)
    now = ports.pace.vault_look_seconds
    return await _find(ports, case, kind, since, known=known or (), old_seconds=now)


def _settles(ports: Ports) -> timedelta:
    return timedelta(seconds=SETTLE_LOOKS * ports.pace.vault_look_seconds)


async def _find(
    ports: Ports,
    case: Case,
    kind: str,
    since: datetime,
    *,
    known: Container[str] = (),
    old_seconds: float | None = None,
) -> VaultJob | None:
    """The vault's first job of that kind for the machine since then that is not known, and that
    none of ours mirrors; by a listing of that age."""
    mine = await _mine(ports, case, kind, since, old_seconds)
    new = [job for job in mine if job.id not in known]
    if not new:
        return None
    taken = await taken_by_ours(ports, case.item.id, since, besides=case.job.id)
    free = [job for job in new if job.id not in taken]
    return min(free, key=lambda job: job.started_at, default=None)


async def _mine(
    ports: Ports, case: Case, kind: str, since: datetime, old_seconds: float | None = None
) -> list[VaultJob]:
    listed = await reads_of(ports, case.vault).since(since, old_seconds)
    return [job for job in listed if job.operation == kind and job.machine == case.item.source]


# ---------------------------------------------------------------- protection


async def _configure(ports: Ports, case: Case) -> Sight | None:
    """Under its policy; where the vault does not know the machine yet, after it has looked for
    machines anew."""
    vault, machine, errand = case.vault, case.item.source, case.errand
    if errand.discovery and not await ports.recovery.discovered(vault, errand.discovery):
        return Sight(errand=errand)
    if not await _is_known(ports, case):
        if errand.discovery:
            raise Invalid(
                f"vault {vault.name} does not find {machine}",
                code="MachineNotFound",
                action="See that it exists, and lies in the vault's region and subscription.",
            )
        return Sight(errand=replace(errand, discovery=await ports.recovery.discover(vault)))
    return await _try(
        ports, case, lambda: ports.recovery.enable(vault, machine, case.errand.policy)
    )


async def _is_known(ports: Ports, case: Case) -> bool:
    if await ports.recovery.item(case.vault, case.item.source) is not None:
        return True
    async for page in ports.recovery.protectable(case.vault):
        if case.item.source in page:
            return True
    return False


async def _stop(ports: Ports, case: Case) -> Sight | None:
    vault, machine = case.vault, case.item.source
    if not case.errand.deletes:
        return await _try(ports, case, lambda: ports.recovery.stop(vault, machine))
    try:
        return await _try(ports, case, lambda: ports.recovery.remove(vault, machine))
    except VaultGone:  # and the data with it
        return Sight(status=Status.COMPLETED)


async def _try(
    ports: Ports, case: Case, begin: Begin, known: tuple[str, ...] | None = None
) -> Sight | None:
    asking = await note_asking(ports, case, known)
    if asking is None:
        return None
    try:
        operation = await begin()
    except (Deferred, Conflict) as error:
        wait = error.retry_after if isinstance(error, Deferred) else None
        return Sight(errand=await not_asked(ports, case), wait_seconds=wait or BUSY_SECONDS)
    if not operation:  # there was nothing to do
        return Sight(errand=asking, status=Status.COMPLETED)
    return Sight(errand=replace(asking, operation=operation))
