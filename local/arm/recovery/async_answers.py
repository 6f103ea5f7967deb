"""The service's ways of saying that something takes time: three families of status URLs.

Vaults have `operationStatus`; what belongs to an item or a job has `operationsStatus` and
`operationResults` under it, and `backupOperations` besides; a discovery has the fabric's.
"""

from base64 import b64decode, b64encode
from binascii import Error
from datetime import datetime
from http import HTTPStatus

from local.arm.answers import Answer, JsonObject
from local.arm.core import Core
from local.arm.operations import Operation, async_url
from local.arm.recovery.formats import YEAR_ONE, utc
from local.arm.recovery.refusals import not_found
from local.arm.routing import Call

RETRY_SECONDS = 60
_OLD_VERSION = "2019-05-13-preview"
"""The api-version in the status URLs of discoveries and cancellations, whatever was asked with."""


def find_operation(core: Core, operation_id: str) -> Operation:
    """An operation. Raises 404 where there is none."""
    found = core.operations.find(operation_id)
    if found is None:
        raise not_found(f"The operation '{operation_id}'")
    return found


def status_body(operation: Operation, now: datetime) -> JsonObject:
    """An operation; while it runs it ends in year 1, and once it has ended, as it started."""
    status = operation.status(now)
    started = utc(operation.started_at)
    body = {
        "id": operation.id,
        "name": operation.id,
        "status": status,
        "startTime": started,
        "endTime": YEAR_ONE if status == "InProgress" else started,
    }
    if status == "Failed":
        return {**body, "error": dict(operation.error or {})}
    job = (operation.detail or {}).get("jobId")
    if status == "InProgress" or job is None:
        return body
    return {**body, "properties": {"objectType": "OperationStatusJobExtendedInfo", "jobId": job}}


class AsyncAnswers:
    """202s and the headers that lead on from them."""

    def __init__(self, core: Core) -> None:
        self._core = core

    def accepted(self, call: Call, base: str, operation: Operation) -> Answer:
        """An empty 202 whose status URLs lie under `base`: an item, a job."""
        status = f"{base}/operationsStatus/{operation.id}"
        results = f"{base}/operationResults/{operation.id}"
        return self._answer(async_url(call, status), async_url(call, results))

    def accepted_of_old(self, call: Call, base: str, operation: Operation) -> Answer:
        """The same, the status URL with an api-version that is not the request's."""
        status = f"{base}/operationsStatus/{operation.id}"
        results = f"{base}/operationResults/{operation.id}"
        return self._answer(
            async_url(call, status, api_version=_OLD_VERSION), async_url(call, results)
        )

    def accepted_deletion(self, call: Call, vault_id: str, operation: Operation) -> Answer:
        """The deletion of an item: its URLs are the vault's, for the item will be gone."""
        status = f"{vault_id}/backupOperations/{operation.id}"
        results = f"{vault_id}/backupOperationResults/{operation.id}"
        return self._answer(async_url(call, status), async_url(call, results))

    def vault_headers(self, call: Call, vault_id: str, name: str) -> dict[str, str]:
        """Where a vault's operation is followed."""
        return {
            "Azure-AsyncOperation": async_url(call, f"{vault_id}/operationStatus/{name}"),
            "Location": async_url(call, f"{vault_id}/operationResults/{name}"),
            **self._retry(),
        }

    def _answer(self, status: str, results: str) -> Answer:
        headers = {"Azure-AsyncOperation": status, "Location": results, **self._retry()}
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    def _retry(self) -> dict[str, str]:
        return {"Retry-After": str(self._core.clock.to_wall_seconds(RETRY_SECONDS))}


def vault_operation_name(kind: int, operation: Operation) -> str:
    """The name of a vault's operation: base64 of a number for its kind and its id."""
    return b64encode(f"{kind};{operation.id}".encode()).decode()


def id_in_name(name: str) -> str:
    """The id inside a vault operation's name; empty where it is no such name."""
    try:
        return b64decode(name).decode().partition(";")[2]
    except (Error, UnicodeDecodeError):
        return ""
