"""The status of long-running operations, in the two forms Microsoft.Compute has of them."""

from collections.abc import Sequence
from enum import StrEnum
from http import HTTPStatus
from typing import Any

from local.arm.answers import Answer
from local.arm.clock import stamp
from local.arm.compute.kinds import IN_SUBSCRIPTION
from local.arm.core import Core
from local.arm.operations import Operation, async_url, operation_not_found
from local.arm.routing import Call, Route


class Family(StrEnum):
    """Where an operation is asked for: disks and snapshots, or everything else."""

    DISK = "DiskOperations"
    COMPUTE = "operations"


# What `p` names in the recordings: the resource provider's deployment.
_PARTITION = {
    Family.DISK: "42128af7-4c72-4222-9761-fb0d8e6cebdc",
    Family.COMPUTE: "571046f6-b640-41c1-86f7-f9f044b5adf9",
}
# Recorded for disks in 2020; the newer recordings have lost theirs.
_RETRY_AFTER_SECONDS = {Family.DISK: 2, Family.COMPUTE: 10}


class Polling:
    """Begins operations and answers for them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def routes(self) -> Sequence[Route]:
        return [
            Route(
                "GET",
                f"{IN_SUBSCRIPTION}/locations/{{location}}/{family}/{{operation}}",
                f"{family[0].upper()}{family[1:]}_Get",
                self._status,
            )
            for family in Family
        ]

    def headers(
        self, call: Call, operation: Operation, family: Family, location: str, *, monitor: bool
    ) -> dict[str, str]:
        """Azure-AsyncOperation and, with `monitor`, Location; and how long to wait."""
        path = (
            f"/subscriptions/{call.subscription}/providers/Microsoft.Compute"
            f"/locations/{location}/{family}/{operation.id}"
        )
        partition = _PARTITION[family]
        wait = self._core.clock.to_wall_seconds(_RETRY_AFTER_SECONDS[family])
        headers = {
            "Azure-AsyncOperation": async_url(call, path, p=partition),
            "Retry-After": str(wait),
        }
        if monitor:
            headers["Location"] = async_url(call, path, p=partition, monitor="true")
        return headers

    async def _status(self, call: Call) -> Answer:
        operation = self._core.operations.find(call.params["operation"])
        if operation is None:
            raise operation_not_found(call.params["operation"])
        if "monitor" in call.query:
            return self._result(call, operation)
        return Answer(200, _status_body(operation, call))

    def _result(self, call: Call, operation: Operation) -> Answer:
        """What Location answers: 202 while it runs, then the output itself."""
        status = operation.status(call.now)
        if status == "InProgress":
            location = async_url(call, call.path, p=call.query.get("p", ""), monitor="true")
            return Answer(HTTPStatus.ACCEPTED, None, {"Location": location})
        if status == "Failed":
            return Answer(HTTPStatus.CONFLICT, {"error": operation.error})
        return Answer(200, operation.output)


def _status_body(operation: Operation, call: Call) -> dict[str, Any]:
    status = operation.status(call.now)
    body: dict[str, Any] = {"startTime": stamp(operation.started_at)}
    if status != "InProgress":
        body["endTime"] = stamp(operation.ends_at)
    body["status"] = status
    if status == "Failed":
        body["error"] = operation.error
    elif status == "Succeeded" and operation.output is not None:
        body["properties"] = {"output": operation.output}
    return {**body, "name": operation.id}
