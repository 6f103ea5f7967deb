"""What the running storage counts, and the faults that tests script into it."""

import json
import urllib.error
import urllib.request
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal
from urllib.parse import unquote, urlsplit

from local.errors import StackError


@dataclass(frozen=True)
class OperationCount:
    """Requests of one client on one account since the storage started; sizes are bodies only.

    `client` is a word of the User-Agent: one that starts with `vaultline-` (the stack's functions
    host says `vaultline-host`), or else the first. `operation` is Azurite's name for it
    (`PageBlob_UploadPagesFromURL`); `errors` are answers from 400 up and cut connections.
    """

    client: str
    service: str
    account: str
    operation: str
    requests: int
    errors: int
    request_bytes: int
    response_bytes: int


@dataclass(frozen=True)
class Fault:
    """One scripted fault; the fields are those documented in `gapfill/faults.js`.

    Matchers are regular expressions, `path` sees the query too. `None` matches everything.
    """

    service: str | None = None
    operation: str | None = None
    method: str | None = None
    path: str | None = None
    source: str | None = None
    signature: str | None = None
    signed_before: datetime | None = None
    skip: int = 0
    times: int | None = None
    probability: float | None = None
    seed: int | None = None
    status: int | None = None
    error_code: str | None = None
    retry_after: int | None = None
    at_source: bool | None = None
    delay_ms: int | None = None
    drop: Literal["before", "after"] | None = None
    cut_after_bytes: int | None = None
    shorten_to: int | None = None
    flip_byte: int | None = None
    end_sas: bool | None = None
    lose_ranges: int | None = None
    lose_within: tuple[int, int] | None = None
    lose_cleared: bool | None = None
    rows: int | None = None
    marker: Literal["kept", "lost", "same"] | None = None


@dataclass(frozen=True)
class FaultCount:
    """How often a fault's matcher matched, and how often it fired."""

    seen: int
    fired: int


REFUSE_PUT_PAGE_FROM_URL = Fault(
    operation="^PageBlob_UploadPagesFromURL$",
    status=409,
    error_code="CopySourceCannotBeIncrementalCopyBlob",
)
"""What users report of incremental managed-disk snapshots: the bytes must be read and written."""


def read_counters(blob_endpoint: str) -> tuple[OperationCount, ...]:
    """Every counter of the blob and table services behind `blob_endpoint`."""
    return tuple(OperationCount(**row) for row in _call("GET", f"{blob_endpoint}/__counters"))


def add_faults(blob_endpoint: str, faults: Sequence[Fault]) -> None:
    """Adds faults behind those already there; the first that matches decides."""
    _call("POST", f"{blob_endpoint}/__faults", [_wire(fault) for fault in faults])


def read_faults(blob_endpoint: str) -> tuple[FaultCount, ...]:
    """The counts of the active faults, in their order."""
    return _counts(_call("GET", f"{blob_endpoint}/__faults"))


def clear_faults(blob_endpoint: str) -> tuple[FaultCount, ...]:
    """Removes all faults and answers their last counts."""
    return _counts(_call("DELETE", f"{blob_endpoint}/__faults"))


def rot(
    blob_endpoint: str, url: str, offset: int, *, snapshot: str = "", shared: bool = False
) -> int:
    """Inverts a bit of one stored byte of a page blob, or of its snapshot, behind everybody's back.

    With `shared`, in every version of that blob that holds the same page. Returns how many
    versions rotted; raises StackError where no page is stored there.
    """
    account, container, blob = unquote(urlsplit(url).path).removeprefix("/").split("/", 2)
    target = {"account": account, "container": container, "blob": blob, "snapshot": snapshot}
    body = {**target, "offset": offset, "shared": shared}
    return int(_call("POST", f"{blob_endpoint}/__rot", body)["versions"])


def _wire(fault: Fault) -> dict[str, object]:
    return {_camel(name): value for name, value in vars(fault).items() if value is not None}


def _camel(name: str) -> str:
    first, *others = name.split("_")
    return first + "".join(word.capitalize() for word in others)


def _counts(rules: Sequence[Mapping[str, int]]) -> tuple[FaultCount, ...]:
    return tuple(FaultCount(seen=rule["seen"], fired=rule["fired"]) for rule in rules)


def _call(method: str, url: str, body: object = None) -> Any:
    content = None if body is None else json.dumps(body, default=datetime.isoformat).encode()
    request = urllib.request.Request(url, method=method, data=content)  # noqa: S310
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
            return json.load(answer)
    except urllib.error.HTTPError as error:
        said = error.read().decode(errors="replace")
        raise StackError(
            f"{method} {url} answered {error.code}: {said[:500]}. "
            "Faults need a storage that was launched with faults=True."
        ) from error
