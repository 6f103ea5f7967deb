"""Recovery points: making one, looking at them, restoring one."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime
from http import HTTPStatus

from local.arm.answers import Answer, not_supported
from local.arm.core import Core
from local.arm.paging import listed
from local.arm.recovery import backups, restores
from local.arm.recovery.async_answers import AsyncAnswers
from local.arm.recovery.estate import Estate
from local.arm.recovery.filters import read_filter
from local.arm.recovery.formats import parse_time
from local.arm.recovery.item import ON_DEMAND_A_DAY, Item, Protection
from local.arm.recovery.item_bodies import point_body
from local.arm.recovery.item_routes import ITEM, item_base
from local.arm.recovery.job_routes import filter_time
from local.arm.recovery.refusals import (
    backup_is_running,
    invalid_input,
    item_is_deleted,
    too_many_backups,
)
from local.arm.recovery.timing import Durations
from local.arm.recovery.worker import Worker
from local.arm.routing import Call, Route

_POINTS = ITEM + "/recoveryPoints"
_POINT = _POINTS + "/{point}"
_EXPIRY_SINCE = "2025-01-01"
_FILTERS = frozenset({"startDate", "endDate", "extendedInfo"})


class PointRoutes:
    """Backups and restores start here."""

    def __init__(self, core: Core, estate: Estate, worker: Worker, durations: Durations) -> None:
        self._core = core
        self._worker = worker
        self._estate = estate
        self._durations = durations
        self._answers = AsyncAnswers(core)

    def routes(self) -> Sequence[Route]:
        return [
            Route("POST", ITEM + "/backup", "Backups_Trigger", self._backup),
            Route("GET", _POINTS, "RecoveryPoints_List", self._list),
            Route("GET", _POINT, "RecoveryPoints_Get", self._get),
            Route("POST", _POINT + "/restore", "Restores_Trigger", self._restore),
        ]

    async def _backup(self, call: Call) -> Answer:
        vault, item = self._estate.vault(call), self._estate.item(call)
        keep_until = _read_backup(call)
        self._require_startable(item, call.now)
        job = backups.new_backup(
            item, call.now, self._durations, on_demand=True, keep_until=keep_until
        )
        operation = self._core.operations.begin(
            call, self._durations.accept, detail={"jobId": job.id}
        )
        if call.fate != "failed":
            self._estate.put_job(job)
            self._estate.put_item(item.counting_on_demand(call.now.date()))
        return self._answers.accepted(call, item_base(vault, call), operation)

    def _require_startable(self, item: Item, now: datetime) -> None:
        if item.is_deleted:
            raise item_is_deleted()
        if item.state is Protection.STOPPED:
            raise invalid_input("protection of the item is stopped")
        if any(backups.takes_snapshot(job) for job in self._estate.running(item)):
            raise backup_is_running()
        if item.on_demand_on(now.date()) >= ON_DEMAND_A_DAY:
            raise too_many_backups()

    async def _list(self, call: Call) -> Answer:
        item = self._estate.item(call)
        wanted = read_filter(call.query, _FILTERS)
        since, until = wanted.get("startDate"), wanted.get("endDate")
        points = [
            point_body(point, extended=_tells_expiry(call, wanted.get("extendedInfo")))
            for point in self._estate.points_of(item)
            if (since is None or filter_time(since) <= point.at)
            and (until is None or point.at <= filter_time(until))
        ]
        return listed(call, points)

    async def _get(self, call: Call) -> Answer:
        body = point_body(self._estate.point(call), extended=_tells_expiry(call, None))
        return Answer(HTTPStatus.OK, body)

    async def _restore(self, call: Call) -> Answer:
        vault, item, point = (
            self._estate.vault(call),
            self._estate.item(call),
            self._estate.point(call),
        )
        order = restores.read_order(call.body.get("properties") or {}, point)
        if order.makes_vhds and not self._worker.makes_vhds:
            raise not_supported("restoring disks as VHDs")
        operation = self._core.operations.begin(call, self._durations.accept)
        # A restore's job has its operation's id; no other job has (both recorded).
        self._core.operations.save(replace(operation, detail={"jobId": operation.id}))
        job = restores.new_restore(operation.id, item, order, point, call.now, self._durations)
        if call.fate != "failed":
            self._estate.put_job(job)
        return self._answers.accepted(call, item_base(vault, call), operation)


def _tells_expiry(call: Call, asked: str | None) -> bool:
    """Whether points say when they expire: not in 2024 (recorded), later (assumed)."""
    return call.api_version >= _EXPIRY_SINCE or (asked or "").casefold() == "true"


def _read_backup(call: Call) -> datetime | None:
    """Until when an on-demand backup is to be kept, if the request says. Raises 400."""
    given = call.body.get("properties") or {}
    if given.get("objectType") != "IaasVMBackupRequest":
        raise invalid_input("objectType must be IaasVMBackupRequest")
    text = given.get("recoveryPointExpiryTimeInUTC")
    if text is None:
        return None
    try:
        keep_until = parse_time(text)
    except ValueError as error:
        raise invalid_input(f"'{text}' is not a time") from error
    if keep_until <= call.now:
        raise invalid_input("recoveryPointExpiryTimeInUTC is over")
    return keep_until
