"""What the storage service counted of the functions host: the witness that no byte of a disk
is carried by a function. What functions read in order to compare it is not counted."""

from collections.abc import Iterable
from dataclasses import dataclass

from local.storage.controls import OperationCount

_COPIED = "PageBlob_UploadPagesFromURL"
_SENT = "PageBlob_UploadPages"


@dataclass(frozen=True, kw_only=True)
class Traffic:
    """Copies that the service made by itself, and bytes of page data that it was sent."""

    server_side_copies: int
    page_bytes_sent: int


def traffic_of(client: str, counters: Iterable[OperationCount]) -> Traffic:
    """The traffic of that client, on all accounts."""
    own = [row for row in counters if row.client == client and row.service == "blob"]
    return Traffic(
        server_side_copies=sum(row.requests for row in own if row.operation == _COPIED),
        page_bytes_sent=sum(row.request_bytes for row in own if row.operation == _SENT),
    )
