"""Long-running operations: begun by a request, ended by time, asked for by id.

Nothing runs in the background. What an operation does is done when it begins; what the caller sees
of it depends on the service's time. So a restart in between changes nothing.
"""

import base64
import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, Literal
from urllib.parse import quote
from uuid import uuid4

from local.arm.answers import ArmError, JsonObject
from local.arm.clock import ticks
from local.arm.faults import Fate
from local.arm.routing import Call
from local.arm.store import Store

KIND = "operations"

Status = Literal["InProgress", "Succeeded", "Failed"]


@dataclass(frozen=True)
class Operation:
    """An operation and how it ends.

    `output` is what it leaves (None: nothing), `error` an error body's inside where it fails.
    `detail` belongs to the provider. `fate` is a scripted fault's.
    """

    id: str
    started_at: datetime
    ends_at: datetime
    output: JsonObject | None = None
    error: JsonObject | None = None
    detail: Mapping[str, Any] | None = None
    fate: Fate | None = None

    def status(self, now: datetime) -> Status:
        """What its status URL says at `now`."""
        if self.fate == "stuck" or now < self.ends_at:
            return "InProgress"
        return "Failed" if self.error else "Succeeded"


class Operations:
    """The operations in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def begin(
        self,
        call: Call,
        seconds: float,
        *,
        output: JsonObject | None = None,
        error: JsonObject | None = None,
        detail: Mapping[str, Any] | None = None,
    ) -> Operation:
        """An operation that takes `seconds` of service time from now."""
        operation = Operation(
            id=str(uuid4()),
            started_at=call.now,
            ends_at=call.now + timedelta(seconds=seconds),
            output=output,
            error=scripted_failure(call) or error,
            detail=detail,
            fate=call.fate,
        )
        self.save(operation)
        return operation

    def save(self, operation: Operation) -> None:
        """Keeps an operation under its id, in place of what it was."""
        times = {name: getattr(operation, name).isoformat() for name in ("started_at", "ends_at")}
        self._store.put(KIND, operation.id, {**vars(operation), **times})

    def forget_before(self, moment: datetime) -> None:
        """Drops the operations that ended before a moment."""
        for operation_id, document in list(self._store.scan(KIND)):
            if datetime.fromisoformat(document["ends_at"]) < moment:
                self._store.delete(KIND, operation_id)

    def find(self, operation_id: str) -> Operation | None:
        """The operation; None where there is none or a fault made it vanish."""
        found = self._store.get(KIND, operation_id)
        if found is None or found["fate"] == "vanished":
            return None
        times = {name: datetime.fromisoformat(found[name]) for name in ("started_at", "ends_at")}
        return Operation(**{**found, **times})


def scripted_failure(call: Call) -> JsonObject | None:
    """The error that a fault wants the call's operation to end with."""
    return call.failure if call.fate == "failed" else None


def operation_not_found(operation_id: str) -> ArmError:
    return ArmError(404, "NotFound", f"Operation '{operation_id}' was not found.")


def async_url(call: Call, path: str, api_version: str | None = None, **query: str) -> str:
    """A status URL as the service signs it since 2024: long, and different in each response.

    `path` starts with a slash and is written as it is: `;` stays raw, as recorded. Clients must
    follow the whole of it.
    """
    seed = f"{path} {call.now.isoformat()} {uuid4()}"
    signed = {
        **query,
        "api-version": api_version or call.api_version,
        "t": str(ticks(call.now)),
        "c": _letters("certificate", 1931),
        "s": _letters(f"signature {seed}", 256),
        "h": _letters(f"hash {seed}", 32),
    }
    text = "&".join(f"{name}={quote(value)}" for name, value in signed.items())
    return f"{call.origin}{path}?{text}"


def _letters(seed: str, size: int) -> str:
    digest = hashlib.shake_256(seed.encode()).digest(size)
    return base64.urlsafe_b64encode(digest).decode().rstrip("=")
