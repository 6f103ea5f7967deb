"""What a piece of work asked of the storage, as the storage itself counted it."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass

from local.storage.controls import OperationCount

KINDS = {
    "PageBlob_UploadPagesFromURL": "copies",
    "PageBlob_UploadPages": "writes",
    "PageBlob_ClearPages": "clears",
    "PageBlob_GetPageRanges": "listings",
    "PageBlob_GetPageRangesDiff": "listings",
    "Blob_Download": "reads",
    "BlockBlob_StageBlock": "plan and manifest",
    "BlockBlob_CommitBlockList": "plan and manifest",
    "BlockBlob_Upload": "plan and manifest",
    "AppendBlob_Create": "plan and manifest",
    "AppendBlob_AppendBlock": "plan and manifest",
    "Table_Batch": "ledger transactions",
}
"""Operations by what they are for. All other ones on tables are looks at the ledger, all other
ones on blobs are properties, snapshots, leases and sequence numbers. Reads are of plans, and of
pages where a worker looks at some."""
PAGE_REQUESTS = ("copies", "writes", "clears")
_OURS = "azsdk-python"


@dataclass(frozen=True)
class Traffic:
    """Requests by kind; bytes of bodies by kind, `sent` to the storage and `received` from it."""

    requests: Counter[str]
    sent: Counter[str]
    received: Counter[str]

    def __sub__(self, earlier: "Traffic") -> "Traffic":
        return Traffic(
            self.requests - earlier.requests,
            self.sent - earlier.sent,
            self.received - earlier.received,
        )

    @property
    def page_requests(self) -> int:
        return sum(self.requests[kind] for kind in PAGE_REQUESTS)


def traffic_of(counts: Iterable[OperationCount]) -> Traffic:
    """The counters of requests that came from SDKs, and not from the storage itself."""
    told = Traffic(Counter(), Counter(), Counter())
    for row in counts:
        if row.client.startswith(_OURS):
            kind = _kind(row)
            told.requests[kind] += row.requests
            told.sent[kind] += row.request_bytes
            told.received[kind] += row.response_bytes
    return told


def _kind(row: OperationCount) -> str:
    rest = "ledger reads" if row.operation.startswith("Table_") else "other"
    return KINDS.get(row.operation, rest)
