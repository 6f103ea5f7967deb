"""A restore out of a Recovery Services vault: disks into a group, another machine, or the machine
itself. The vault makes them; the job follows it."""

from dataclasses import replace

from shared import telemetry
from shared.decide.decision import Decision
from shared.decide.errands import begin_restore, with_errand
from shared.decide.protection import check_not_deleted
from shared.decide.requests import fingerprint
from shared.decide.restore import choose_point, restore_job
from shared.decide.restore_disks import check_target
from shared.model.errors import AlreadyExists, Invalid, SourceGone
from shared.model.ids import DiskUrl, JobId, request_job
from shared.model.item import Item
from shared.model.job import Job
from shared.model.messages import Restore, RestoreTarget
from shared.model.mirroring import Errand
from shared.model.point import Point
from shared.model.recovery import VaultRestore
from shared.ports import Ports
from shared.steps.accepted import Accepted
from shared.steps.requests import RESTORE
from shared.steps.transact import the, transact, watch


async def restore_mirrored(ports: Ports, item: Item, command: Restore) -> Accepted:
    """Finds the point and records the job that the vault carries out; repeatable. Raises
    `Invalid`, `NotFound`, `AlreadyExists`."""
    job_id = request_job(item.id, RESTORE, command.request_id)
    accepted = Accepted(item_id=item.id, job_id=job_id)
    if await ports.ledger.get(item.id, Job, job_id) is not None:
        return accepted
    staging = _staging(ports, command.target)
    await _check(ports, item, command.target)
    await watch(ports, item.id)
    await ports.catalog.note_job(job_id, ports.clock.now())
    await transact(ports, item.id, lambda: _begin(ports, job_id, command, staging))
    return accepted


async def _begin(ports: Ports, job_id: JobId, command: Restore, staging: str) -> Decision[None]:
    row = await the(ports, command.item_id, Item)
    if await ports.ledger.get(row.record.id, Job, job_id) is not None:
        return Decision(None)
    check_not_deleted(row.record)
    points = [each async for each in ports.ledger.rows(row.record.id, Point)]
    point = choose_point(points, command).record
    wanted = _order(row.record, point, command.target, staging)
    job = restore_job(row.record, job_id, ports.clock.now(), telemetry.trace_id())
    asked = replace(job, sub_tasks=(), request=fingerprint(command))
    return begin_restore(row, with_errand(asked, Errand(restore=wanted)))


def _order(item: Item, point: Point, target: RestoreTarget, staging: str) -> VaultRestore:
    return VaultRestore(
        point=point.mirrors,
        kind=target.kind,
        machine=item.source,
        staging_account=staging,
        group=target.group,
        new_machine=DiskUrl(target.url) if target.kind == "alternate" else None,
        subnet=target.network,
    )


def _staging(ports: Ports, target: RestoreTarget) -> str:
    staging = target.staging_account or ports.staging_account
    if not staging:
        raise Invalid(
            "a restore from a Recovery Services vault passes through a storage account, and none "
            "is named",
            code="StagingAccountMissing",
            action="Name one of the vault's region with --staging-account, or set "
            "VAULTLINE_STAGING_ACCOUNT.",
        )
    return staging


async def _check(ports: Ports, item: Item, target: RestoreTarget) -> None:
    """Raises `Invalid`; `AlreadyExists` where a new machine's name is taken."""
    check_target(target, item.source)
    if target.disks is not None:
        raise Invalid(
            "a Recovery Services vault restores all disks of a point",
            action="Leave out the choice of disks, and delete those that are not wanted.",
        )
    if target.kind == "original" and not target.confirm:
        raise Invalid(
            f"a restore to the original replaces the disks of {item.source} and must be confirmed",
            action="Send it again with `confirm`: true, or restore to another machine.",
        )
    if target.kind == "alternate":
        await _check_new(ports, target)


async def _check_new(ports: Ports, target: RestoreTarget) -> None:
    if not target.network:
        raise Invalid("a new machine needs a network", action="Name a subnet with --network.")
    try:
        await ports.machines.state(DiskUrl(target.url))
    except SourceGone:
        return
    raise AlreadyExists(
        f"{target.url} exists already", action="Restore to a name that does not exist."
    )
