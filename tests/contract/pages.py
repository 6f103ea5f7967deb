"""Short words for pages: a letter a page."""

from collections.abc import AsyncIterator, Iterable
from typing import TypeVar

from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl
from shared.model.ranges import PAGE_BYTES, Change, ChangedRange, PageRange
from tests.contract.worlds import World

T = TypeVar("T")


def span(first: int, end: int) -> PageRange:
    """Pages `[first, end)`."""
    return PageRange(first * PAGE_BYTES, end * PAGE_BYTES)


def body(letters: str) -> bytes:
    return b"".join(letter.encode() * PAGE_BYTES for letter in letters)


def put(world: World, disk: DiskUrl, first: int, letters: str) -> None:
    world.people.put(disk, first * PAGE_BYTES, body(letters))


def erase(world: World, disk: DiskUrl, first: int, end: int) -> None:
    world.people.erase(disk, span(first, end))


def text(content: bytes) -> str:
    """One letter a page; `.` for a page of zeros."""
    pages = (content[at : at + PAGE_BYTES] for at in range(0, len(content), PAGE_BYTES))
    return "".join(chr(page[0]) if page[0] else "." for page in pages)


def letters_of(world: World, image: Snapshot | DiskUrl, pages: int = 16) -> str:
    return text(world.people.bytes_of(image, span(0, pages)))


async def flat(lists: AsyncIterator[list[T]]) -> list[T]:
    return [each async for list_ in lists for each in list_]


def shown(changes: Iterable[ChangedRange]) -> list[str]:
    """`+2-5` for pages [2, 5) written, `-7-8` for page 7 cleared."""
    signs = {Change.WRITTEN: "+", Change.CLEARED: "-"}
    return [
        f"{signs[each.change]}{each.range.start // PAGE_BYTES}-{each.range.end // PAGE_BYTES}"
        for each in changes
    ]


async def changed(world: World, image: Snapshot | DiskUrl, since: Snapshot) -> list[str]:
    return shown(await flat(world.ports.disks.changed(image, since)))


async def allocated(world: World, image: Snapshot | DiskUrl) -> list[PageRange]:
    return await flat(world.ports.disks.allocated(image))
