"""What a snapshot holds, and what changed between two: listings of pages through a SAS.

A managed disk is read as a VHD, so its last 512 bytes are the footer: no part of the disk.
"""

from collections.abc import AsyncIterator, Iterable, Iterator
from itertools import pairwise
from typing import Any

from azure.storage.blob.aio import BlobClient

from shared.azure.errors import Kinds, each_page, translated
from shared.decide.windows import FULL_ANSWER, halves
from shared.model.errors import ChainBroken, GrantOver, Transient
from shared.model.ranges import Change, ChangedRange, PageRange

LISTING_ROWS = 10_000
WINDOW_BYTES = 256 * 1024**3
"""The stretch of a disk that is asked about first."""

SAS_OVER: Kinds = {
    "AuthenticationFailed": GrantOver,
    "AuthorizationFailure": GrantOver,
    "AuthorizationPermissionMismatch": GrantOver,
    "InsufficientAccountPermissions": GrantOver,
}
"""What the storage service answers where a SAS has run out, or was taken back."""


async def allocated(
    client: BlobClient, subject: str, within: PageRange, rows: int = LISTING_ROWS
) -> AsyncIterator[list[PageRange]]:
    """What is allocated in the range, in order, one list a request. Raises `GrantOver`."""
    pages = client.list_page_ranges(
        offset=within.start, length=within.size_bytes, results_per_page=rows
    ).by_page()
    last = within.start
    async for page in each_page(pages, subject, SAS_OVER):
        listed = [_clipped(int(each.start or 0), int(each.end or 0) + 1, within) for each in page]
        ordered = [range_ for range_ in listed if range_]
        last = _check_order(ordered, last, subject)
        yield _merged(ordered)


def windows_of(size_bytes: int) -> Iterator[PageRange]:
    """The disk in the stretches that it is asked about."""
    for start in range(0, size_bytes, WINDOW_BYTES):
        yield PageRange(start, min(start + WINDOW_BYTES, size_bytes))


async def changed(
    client: BlobClient, before_url: str, subject: str, window: PageRange
) -> list[ChangedRange] | tuple[PageRange, ...]:
    """What changed in the window since the snapshot at `before_url`; or the windows to ask about
    instead, where the answer may have been cut off. Raises `GrantOver`, `ChainBroken`."""
    with translated(subject, SAS_OVER):
        written, cleared = await client.get_page_range_diff_for_managed_disk(
            before_url, offset=window.start, length=window.size_bytes
        )
    smaller = halves(window, len(written) + len(cleared), FULL_ANSWER)
    if smaller:
        return smaller
    found = [*_changes(written, Change.WRITTEN, window), *_changes(cleared, Change.CLEARED, window)]
    found.sort(key=lambda change: change.range.start)
    if any(a.range.end > b.range.start for a, b in pairwise(found)):
        raise ChainBroken(f"{subject}: the lists of its changes overlap")
    return _joined(found)


def _changes(listed: Any, change: Change, window: PageRange) -> Iterator[ChangedRange]:
    for each in listed:
        range_ = _clipped(int(each["start"]), int(each["end"]) + 1, window)
        if range_:
            yield ChangedRange(range_, change)


def _clipped(start: int, end: int, within: PageRange) -> PageRange | None:
    start, end = max(start, within.start), min(end, within.end)
    return PageRange(start, end) if start < end else None


def _check_order(ranges: Iterable[PageRange], last: int, subject: str) -> int:
    """The end of the last range. Raises `Transient` where they do not advance along the disk."""
    for range_ in ranges:
        if range_.start < last:
            raise Transient(f"{subject}: the list of its page ranges is out of order")
        last = range_.end
    return last


def _merged(ranges: Iterable[PageRange]) -> list[PageRange]:
    merged: list[PageRange] = []
    for range_ in ranges:
        if merged and merged[-1].end == range_.start:
            merged[-1] = PageRange(merged[-1].start, range_.end)
        else:
            merged.append(range_)
    return merged


def _joined(changes: Iterable[ChangedRange]) -> list[ChangedRange]:
    joined: list[ChangedRange] = []
    for each in changes:
        before = joined[-1] if joined else None
        if before and (before.change, before.range.end) == (each.change, each.range.start):
            joined[-1] = ChangedRange(PageRange(before.range.start, each.range.end), each.change)
        else:
            joined.append(each)
    return joined
