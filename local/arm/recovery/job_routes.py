"""Jobs and operations: what is going on, and stopping it."""

from collections.abc import Sequence
from datetime import UTC, datetime
from http import HTTPStatus

from local.arm.answers import Answer
from local.arm.core import Core
from local.arm.paging import listed
from local.arm.recovery import backups
from local.arm.recovery.async_answers import AsyncAnswers, find_operation, status_body
from local.arm.recovery.estate import Estate
from local.arm.recovery.filters import agrees, read_filter
from local.arm.recovery.job import Job, Operation, Status
from local.arm.recovery.job_bodies import job_body
from local.arm.recovery.names import MANAGEMENT_TYPE
from local.arm.recovery.refusals import invalid_input, not_cancellable
from local.arm.recovery.throttling import HourlyReads
from local.arm.recovery.timing import Durations
from local.arm.recovery.vault_routes import VAULT
from local.arm.routing import Call, Route

_JOBS = VAULT + "/backupJobs"
_JOB = _JOBS + "/{job}"
_OPERATION = "/{operation}"
_FILTERS = frozenset({"status", "operation", "backupManagementType", "startTime", "endTime"})
_FILTER_TIMES = ("%Y-%m-%d %I:%M:%S %p", "%Y-%m-%d %H:%M:%S %p")


class JobRoutes:
    """backupJobs, backupOperations and their results."""

    def __init__(
        self, core: Core, estate: Estate, durations: Durations, reads: HourlyReads
    ) -> None:
        self._core = core
        self._estate = estate
        self._durations = durations
        self._reads = reads
        self._answers = AsyncAnswers(core)

    def routes(self) -> Sequence[Route]:
        operations = VAULT + "/backupOperations" + _OPERATION
        results = VAULT + "/backupOperationResults" + _OPERATION
        return [
            Route("GET", _JOBS, "BackupJobs_List", self._list),
            Route("GET", _JOB, "JobDetails_Get", self._get),
            Route("POST", _JOB + "/cancel", "JobCancellations_Trigger", self._cancel),
            Route(
                "GET",
                _JOB + "/operationResults" + _OPERATION,
                "JobOperationResults_Get",
                self._cancel_result,
            ),
            Route(
                "GET",
                _JOB + "/operationsStatus" + _OPERATION,
                "JobOperationStatuses_Get",
                self._status,
            ),
            Route("GET", operations, "BackupOperationStatuses_Get", self._counted_status),
            Route("GET", results, "BackupOperationResults_Get", self._result),
        ]

    async def _list(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        self._reads.count(vault.id, "backupJobs/read", call.now)
        wanted = read_filter(call.query, _FILTERS)
        jobs = [job for job in self._estate.jobs_of(vault) if _is_wanted(job, wanted)]
        return listed(call, [job_body(job, call.now, in_list=True) for job in jobs])

    async def _get(self, call: Call) -> Answer:
        job = self._estate.job(call)
        self._reads.count(job.vault, "backupJobs/read", call.now)
        return Answer(HTTPStatus.OK, job_body(job, call.now))

    async def _cancel(self, call: Call) -> Answer:
        job = self._estate.job(call)
        if reason := _why_not(job):
            raise not_cancellable(reason)
        operation = self._core.operations.begin(call, self._durations.cancel)
        if call.fate != "failed" and job.status is not Status.CANCELLING:
            self._estate.put_job(job.cancelling(call.now, self._durations.cancel))
        return self._answers.accepted_of_old(call, job.key, operation)

    async def _cancel_result(self, call: Call) -> Answer:
        """Of whatever job is in the path: PowerShell asks for one named `Azure` (recorded)."""
        vault = self._estate.vault(call)
        operation = find_operation(self._core, call.params["operation"])
        if operation.status(call.now) == "InProgress":
            job = vault.ref.job_id(call.params["job"])
            return self._answers.accepted_of_old(call, job, operation)
        return Answer(HTTPStatus.NO_CONTENT)

    async def _counted_status(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        self._reads.count(vault.id, "backupOperations/read", call.now)
        return await self._status(call)

    async def _status(self, call: Call) -> Answer:
        self._estate.vault(call)
        operation = find_operation(self._core, call.params["operation"])
        return Answer(HTTPStatus.OK, status_body(operation, call.now))

    async def _result(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        operation = find_operation(self._core, call.params["operation"])
        if operation.status(call.now) == "InProgress":
            return self._answers.accepted_deletion(call, vault.id, operation)
        return Answer(HTTPStatus.NO_CONTENT)


def _why_not(job: Job) -> str | None:
    """Why a job cannot be cancelled: a backup is only until its transfer shows."""
    if job.is_over:
        return "it has ended."
    if job.operation is Operation.RESTORE or job.status is Status.CANCELLING:
        return None
    if job.operation is not Operation.BACKUP:
        return f"a job of the operation {job.operation.value} runs to its end."
    return None if backups.can_cancel(job) else "its snapshot has been taken."


def _is_wanted(job: Job, wanted: dict[str, str]) -> bool:
    values: dict[str, str | None] = {
        "status": job.status.value,
        "operation": job.operation.value,
        "backupManagementType": MANAGEMENT_TYPE,
    }
    since, until = wanted.get("startTime"), wanted.get("endTime")
    return (
        agrees(wanted, values)
        and (since is None or filter_time(since) <= job.started_at)
        and (until is None or (job.ended_at or job.started_at) <= filter_time(until))
    )


def filter_time(text: str) -> datetime:
    """Times in filters: `2016-01-01 00:00:00 AM`. Raises 400."""
    for form in _FILTER_TIMES:
        try:
            return datetime.strptime(text, form).replace(tzinfo=UTC)
        except ValueError:
            continue
    raise invalid_input(f"'{text}' is not a time")
