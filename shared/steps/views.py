"""The public shape of items, jobs and points (DESIGN §8): stable names, UTC times, plain values."""

from datetime import datetime
from typing import Any

from shared.codec import from_json, to_dict
from shared.decide.mirroring import point_id_of
from shared.model.check import Findings
from shared.model.disk import Member
from shared.model.extents import seat_at
from shared.model.inventory import KnownDisk
from shared.model.item import Item, ProtectionState
from shared.model.job import Job, Operation
from shared.model.machine import OS_LUN, Luns
from shared.model.mirroring import Errand
from shared.model.point import Hold, Point
from shared.model.ranges import Span
from shared.model.restore import RestoreWork
from shared.model.transfer import Transfer

View = dict[str, Any]


def _time(at: datetime | None) -> str | None:
    return at.isoformat().replace("+00:00", "Z") if at else None


def _hold(hold: Hold) -> View:
    return {"since": _time(hold.since), "reason": hold.reason}


def item_view(item: Item) -> View:
    return {
        "id": item.id,
        "source": item.source,
        "policy": item.policy,
        "vault": item.vault,
        "state": item.state.value,
        "last_point_at": _time(item.last_point_at),
        "protected_at": _time(item.protected_at),
        "base": item.base.point if item.base else None,
        "replica": item.replica,
        "delete_after": _time(item.delete_after),
        "expiry_held": item.expiry.held or None,
        "checked_at": _time(item.checked_at),
        "mirrors": item.mirrors or None,
        "health": item.health or None,
        **({"disks": _luns(item.luns)} if item.luns else {}),
    }


def _luns(luns: Luns) -> View:
    """The choice as `protect` takes it."""
    way = "exclude" if luns.excluded else "include"
    return {way: [_lun(each) for each in sorted(luns.numbers)]}


def disk_view(disk: KnownDisk, item: Item | None) -> View:
    """A known disk; its state is its item's."""
    state = item.state if item else ProtectionState.REGISTERED
    return {
        "url": disk.url,
        "size_bytes": disk.size_bytes,
        "state": state.value,
        "item_id": disk.item,
        "registered_at": _time(disk.registered_at),
    }


def job_view(job: Job, transfer: Transfer | None = None) -> View:
    """The job; while its transfer runs, with the transfer's progress."""
    return {
        "id": job.id,
        "item_id": job.item_id,
        "operation": job.operation.value,
        "status": job.status.value,
        "sub_tasks": [to_dict(task) for task in job.sub_tasks],
        "planned_bytes": _planned(job, transfer),
        "moved_bytes": transfer.copied_bytes if transfer else _told(job.moved_bytes, job.mirrors),
        "started_at": _time(job.started_at),
        "ended_at": _time(job.ended_at),
        "error": to_dict(job.error) if job.error else None,
        "slot": _time(job.slot),
        "trace_id": job.trace_id,
        "mirrors": job.mirrors or None,
        **(_check_view(job, transfer) if job.operation.checks else {}),
        **_restore_view(job),
    }


def _restore_view(job: Job) -> View:
    if job.operation is not Operation.RESTORE:
        return {}
    if job.errand:
        return vault_restore_view(job)
    return restored_view(from_json(RestoreWork, job.detail)) if job.detail else {}


def _told(count: int, mirrors: str) -> int | None:
    """Bytes; None where a Recovery Services vault has them and does not say how many."""
    return None if mirrors and not count else count


def _planned(job: Job, transfer: Transfer | None) -> int:
    """What a check compares counts as what it plans."""
    if transfer is None:
        return job.planned_bytes
    return transfer.comparing_bytes if transfer.for_check else transfer.planned_bytes


def _check_view(job: Job, transfer: Transfer | None) -> View:
    """What a check has found so far, and how far it is."""
    found = from_json(Findings, job.detail) if job.detail else None
    compared = transfer.compared_bytes if transfer else found.compared_bytes if found else 0
    return {
        "compared_bytes": compared,
        "differing_bytes": found.differing_bytes if found else 0,
        "differing_ranges": [_range(each) for each in found.ranges] if found else [],
        "suspect_points": list(found.suspects) if found else [],
    }


def _range(range_: Span) -> View:
    """`[start, end)` in bytes of the disk; of a machine, of the one in that `seat`, where that is
    not the first."""
    seat, start = seat_at(range_[0])
    place = {"start": start, "end": start + range_[1] - range_[0]}
    return {"seat": seat, **place} if seat else place


def _machine_view(point: Point) -> View:
    """What a machine's point promises, and its disks; nothing of a disk's."""
    held = point.replica or point.source
    if point.consistency is None:
        return {}
    return {
        "consistency": point.consistency.value,
        "consistency_reason": point.consistency_reason or None,
        "disks": [_disk_of(each) for each in held.members] if held else [],
    }


def _disk_of(member: Member) -> View:
    size_bytes = member.snapshot.size_bytes
    placed = {"lun": _lun(member.lun), "seat": member.seat}
    return {**placed, "name": member.name, "size_bytes": size_bytes}


def _lun(lun: int) -> int | str:
    return "os" if lun == OS_LUN else lun


def restored_view(work: RestoreWork) -> View:
    """What a restore reads and makes; what it put another disk in the place of stays, named."""
    made = [
        {"lun": _lun(disk.lun), "disk": disk.url, "replaced": disk.replaces} for disk in work.disks
    ]
    view: View = {"point": work.point, "target": work.target}
    return view | ({"restored_disks": made} if made else {})


def vault_restore_view(job: Job) -> View:
    """What a Recovery Services vault makes of which point; it names new disks itself."""
    wanted = from_json(Errand, job.errand).restore
    if wanted is None:
        return {}
    target = wanted.new_machine or wanted.group or wanted.machine
    return {"point": str(point_id_of(job.item_id, wanted.point)), "target": target}


def point_view(point: Point) -> View:
    return {
        "id": point.id,
        "item_id": point.item_id,
        "job_id": point.job_id,
        "created_at": _time(point.created_at),
        "kind": point.kind.value,
        "kind_reason": point.kind_reason,
        "tiers": [tier.value for tier in point.tiers],
        "size_bytes": _told(point.size_bytes, point.mirrors),
        "changed_bytes": _told(point.changed_bytes, point.mirrors),
        "copied_bytes": _told(point.copied_bytes, point.mirrors),
        "cleared_bytes": _told(point.cleared_bytes, point.mirrors),
        "worker_bytes": point.worker_bytes,
        "repaired_bytes": point.repaired_bytes,
        "requests": point.requests,
        "seconds": point.seconds,
        "expires_at": _time(point.expires_at),
        "reasons": [{"rule": r.rule, "until": _time(r.until)} for r in point.reasons],
        "source_snapshot": point.source.id if point.source else None,
        "hold": _hold(point.hold) if point.hold else None,
        "mirrors": point.mirrors or None,
        "suspect": point.suspect or None,
        "healed": point.healed or None,
        **_machine_view(point),
    }
