"""Walking a listing that is cut off without saying so.

The diff of a managed disk loses its continuation marker on the way through the SDK: an answer
holds at most 10,000 ranges, and where it holds as many nobody knows whether there were more. So
the disk is asked about in windows, and a window whose answer came back full is halved and asked
about again.
"""

from shared.model.ranges import PAGE_BYTES, PageRange

FULL_ANSWER = 10_000
"""Most ranges of one answer (the service's limit)."""


def halves(window: PageRange, ranges: int, full: int = FULL_ANSWER) -> tuple[PageRange, ...]:
    """The windows to ask about instead, in disk order, where an answer of so many ranges may have
    been cut off; none where it cannot have been."""
    pages = window.size_bytes // PAGE_BYTES
    if ranges < full or pages <= full:
        return ()
    middle = window.start + pages // 2 * PAGE_BYTES
    return PageRange(window.start, middle), PageRange(middle, window.end)
