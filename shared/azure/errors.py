"""SDK exceptions stop here: one translation into the words of `shared.model.errors`.

What a person reads names the subject and the service's reason; no URL keeps its query and no key
its value (invariant 10). The SDK's exception is not chained, since its text may hold both; the
service's request id stays as a note, for support.
"""

import re
from collections.abc import AsyncIterator, Iterator, Mapping
from contextlib import contextmanager
from enum import Enum
from typing import TypeVar

from azure.core.exceptions import AzureError, HttpResponseError

from shared.azure.http import ASKED_WAIT
from shared.model.errors import (
    AlreadyExists,
    ChainBroken,
    Conflict,
    GrantOver,
    Invalid,
    NotFound,
    ServerSideCopyRefused,
    SourceGone,
    StaleEpoch,
    TargetBusy,
    Transient,
    VaultlineError,
)

T = TypeVar("T")
Kinds = Mapping[str, type[VaultlineError]]

KINDS: Kinds = {
    "BlobNotFound": SourceGone,
    "ContainerNotFound": SourceGone,
    "ResourceNotFound": SourceGone,
    "BlobAlreadyExists": AlreadyExists,
    "BlobOverwritten": ChainBroken,
    "PreviousSnapshotNotFound": ChainBroken,
    "PreviousSnapshotCannotBeNewer": ChainBroken,
    "PreviousSnapshotOperationNotSupported": ChainBroken,
    "SequenceNumberConditionNotMet": StaleEpoch,
    "LeaseIdMismatchWithBlobOperation": StaleEpoch,
    "LeaseNotPresentWithBlobOperation": StaleEpoch,
    "LeaseLost": StaleEpoch,
    "LeaseIdMissing": TargetBusy,
    "LeaseAlreadyPresent": TargetBusy,
    "LeaseIsBreakingAndCannotBeAcquired": TargetBusy,
    "LeaseIsBrokenAndCannotBeRenewed": TargetBusy,
    "CopySourceCannotBeIncrementalCopyBlob": ServerSideCopyRefused,
    "ConditionNotMet": Conflict,
    "UpdateConditionNotSatisfied": Conflict,
    "EntityAlreadyExists": Conflict,
    "EntityNotFound": Conflict,
    "SnapshotOperationRateExceeded": Transient,
    "SnapshotCountExceeded": Transient,
    "PendingCopyOperation": Transient,
    "ContainerBeingDeleted": Transient,
    "AccountBeingCreated": Transient,
    "TableBeingDeleted": Transient,
    "TableNotFound": NotFound,
}
"""What the service's error codes mean to us. Others are judged by their status."""

_BUSY = frozenset({408, 429, 500, 502, 503, 504})
_TOO_MUCH = frozenset({429, 503})
_DENIED = frozenset({401, 403})
LONGEST_ASKED_SECONDS = 120.0
"""No service is waited for longer than that, whatever it asks for; then it is asked again."""
ACCESS = (
    "Give the app's identity (or key) access: Storage Blob Data Contributor on the accounts, "
    "Storage Table Data Contributor on the state, Service Bus Data Sender and Receiver."
)
_SECRETS = re.compile(r"(?i)\b(sig|AccountKey|SharedAccessKey|SharedAccessSignature)=[^&;\s\"']+")
_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*")


def scrub(text: str) -> str:
    """`text` without what could open a door: queries of URLs, signatures, keys."""
    return _SECRETS.sub(r"\1=…", _QUERY.sub(r"\1?…", text))


@contextmanager
def translated(subject: str, kinds: Kinds | None = None) -> Iterator[None]:
    """Turns SDK errors inside into ours, about `subject`; `kinds` go before `KINDS`."""
    try:
        yield
    except (AzureError, OSError, TimeoutError) as error:
        raise translate(error, subject, kinds) from None


def translate(error: Exception, subject: str, kinds: Kinds | None = None) -> VaultlineError:
    """The domain error that an SDK's error means."""
    if not isinstance(error, HttpResponseError) or error.status_code is None:
        return Transient(f"{subject}: {reason(error)}", code="ConnectionFailed")
    code = error_code(error)
    if code == "CannotVerifyCopySource":
        ours = _copy_source(error, subject)
    else:
        ours = _by_code(error, code, subject, {**KINDS, **(kinds or {})})
    if isinstance(ours, Transient):
        ours.retry_after = _asked_wait(error)
        ours.busy = _inner_status(error) in _TOO_MUCH or code == "OperationTimedOut"
    if request := _header(error, "x-ms-request-id"):
        ours.add_note(f"request id: {request}")
    return ours


def error_code(error: HttpResponseError) -> str:
    """The service's own code, from the body or, where there is none, from the header."""
    code = getattr(error, "error_code", None) or _header(error, "x-ms-error-code")
    return str(code.value if isinstance(code, Enum) else code or "")


def reason(error: Exception) -> str:
    """The first line of what the error says, without secrets."""
    text = getattr(error, "message", None) or str(error) or type(error).__name__
    return scrub(str(text).strip().splitlines()[0])


def _by_code(error: HttpResponseError, code: str, subject: str, kinds: Kinds) -> VaultlineError:
    status, text = error.status_code or 0, f"{subject}: {reason(error)}"
    if status < 400:  # an answer that broke off, or that the SDK cannot read
        return Transient(text, code="Malformed")
    kind = kinds.get(code)
    if kind is not None and issubclass(kind, SourceGone):
        return kind(f"{subject} does not exist")
    if kind is not None:
        return kind(text, code=code if kind is Transient else None)
    if status in _BUSY:
        return Transient(text, code=code or None)
    if status in _DENIED:
        return Invalid(text, code="AccessDenied", action=ACCESS)
    if status == 404:
        return SourceGone(f"{subject} does not exist")
    if status == 412:
        return Conflict(text)
    return Invalid(text, code=code or None)


def _copy_source(error: HttpResponseError, subject: str) -> VaultlineError:
    """Why the service could not read the source of a copy: its inner status decides."""
    inner = _header(error, "x-ms-copy-source-error-code")
    status = _inner_status(error)
    text = f"{subject}: the source answered {status} {inner}".rstrip()
    if inner in KINDS and issubclass(KINDS[inner], ServerSideCopyRefused):
        return ServerSideCopyRefused(text)
    if status == 404:
        return SourceGone(text)
    if status in _DENIED:
        return GrantOver(f"{text}: the grant is over or was revoked, grant again")
    if status in _BUSY or status >= 500:
        return Transient(text, code=inner or None)
    return Invalid(text, code=inner or None)


def _inner_status(error: HttpResponseError) -> int:
    """The status that the source of a copy answered; the answer's own for other requests."""
    return int(_header(error, "x-ms-copy-source-status-code") or error.status_code or 0)


def _asked_wait(error: HttpResponseError) -> float | None:
    """How many seconds the service asked to wait, within reason; None where it did not."""
    asked = _header(error, ASKED_WAIT)
    return min(float(asked), LONGEST_ASKED_SECONDS) if asked else None


def _header(error: HttpResponseError, name: str) -> str:
    headers = getattr(error.response, "headers", None) or {}
    return str(headers.get(name) or "")


async def each_page(
    pages: AsyncIterator[AsyncIterator[T]], subject: str, kinds: Kinds | None = None
) -> AsyncIterator[list[T]]:
    """The pages of a listing as lists; empty ones, which the services do send, included. Raises
    `Transient` where the service sends the same marker twice (fault 17)."""
    marker: object = None
    while True:
        try:
            with translated(subject, kinds):
                page = [row async for row in await anext(pages)]
        except StopAsyncIteration:
            return
        except (ValueError, RuntimeError) as error:
            if not is_cut_off(error):
                raise
            raise Transient(f"{subject}: the listing came malformed", code="Malformed") from None
        yield page
        following: object = getattr(pages, "continuation_token", None)
        if following and following == marker:
            raise Transient(f"{subject}: the listing goes in circles", code="ListingLoop")
        marker = following


def is_cut_off(error: Exception) -> bool:
    """Whether this is what the SDKs make of an answer that broke off; of one without a body they
    take a first element that is not there."""
    return isinstance(error, ValueError) or isinstance(error.__cause__, StopIteration)
