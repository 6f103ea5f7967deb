"""The model that a long life is judged by: every page of every disk, and of every snapshot.

It is fed with what is done to the disks, whoever does it, and shares nothing with the page images
of the storage service in memory: a page is 512 bytes under its number, or was never written.
"""

from collections.abc import Callable, Container, Iterator
from dataclasses import dataclass, field, replace
from typing import Any

from shared.memory import MemoryStorage
from shared.memory.storage import Blob
from shared.model.disk import DiskState, Snapshot
from shared.model.extents import image_of, whole
from shared.model.ids import DiskUrl
from shared.model.ranges import PAGE_BYTES, PageRange

DISKS = "https://vlsource.blob.core.windows.net/"
"""The account that the model follows: disks, not replicas."""


@dataclass
class Bytes:
    """An image: what is not in `pages` was never written, or cleared since, and reads as zeros."""

    size_bytes: int
    pages: dict[int, bytes] = field(default_factory=dict)

    def write(self, start: int, body: bytes) -> None:
        for at in range(0, len(body), PAGE_BYTES):
            self.pages[(start + at) // PAGE_BYTES] = body[at : at + PAGE_BYTES]

    def clear(self, start: int, end: int) -> None:
        gone = range(start // PAGE_BYTES, end // PAGE_BYTES)
        for page in [page for page in self.pages if page in gone]:
            del self.pages[page]

    def resize(self, size_bytes: int) -> None:
        self.clear(size_bytes, max(size_bytes, self.size_bytes))
        self.size_bytes = size_bytes

    def copy(self) -> "Bytes":
        return replace(self, pages=dict(self.pages))

    def unlike(self, other: "Bytes", but_for: Container[bytes | None] = ()) -> str:
        """Where the two differ, in bytes or in what is allocated; empty where they do not. Pages
        of this one that are among `but_for` do not count."""
        if self.size_bytes != other.size_bytes:
            return f"{self.size_bytes} bytes, not {other.size_bytes}"
        pages = sorted(self.pages.keys() | other.pages.keys())
        unlike = [n for n in pages if self.pages.get(n) != other.pages.get(n)]
        differing = [n for n in unlike if self.pages.get(n) not in but_for]
        return "; ".join(
            f"page {n}: {_seen(self.pages.get(n))}, not {_seen(other.pages.get(n))}"
            for n in differing[:4]
        )


def _seen(page: bytes | None) -> str:
    return "nothing" if page is None else f"{page[:16].hex()}…"


def stored(storage: MemoryStorage, of: Snapshot | DiskUrl) -> Bytes:
    """What the storage service holds of a disk, or of a snapshot in any number of extents.
    Raises `SourceGone`."""
    image = image_of(of) if isinstance(of, Snapshot) else whole(of, storage.blob(of).size_bytes)
    held = Bytes(image[-1].end)
    for extent in image:
        pages = storage.pages(extent.held)
        for range_ in pages.allocated():
            held.write(extent.start + range_.start, pages.read(range_))
    return held


class ByteModel:
    """`disks` as they are, and what each of their snapshots `held`, by its id."""

    def __init__(self, storage: MemoryStorage) -> None:
        self.disks: dict[DiskUrl, Bytes] = {}
        self.held: dict[str, Bytes] = {}
        for name in ("create", "remove", "put", "erase", "resize", "write", "clear", "snapshot"):
            _followed(storage, name, getattr(self, f"_{name}"))

    def _create(self, state: DiskState, *_: Any, **__: Any) -> None:
        self.disks[state.url] = Bytes(state.size_bytes)

    def _remove(self, _: None, url: DiskUrl) -> None:
        self.disks.pop(url, None)

    def _put(self, _: None, url: DiskUrl, start: int, body: bytes) -> None:
        self.disks[url].write(start, body)

    def _erase(self, _: None, url: DiskUrl, range_: PageRange) -> None:
        self.disks[url].clear(*range_)

    def _resize(self, _: DiskState, url: DiskUrl, size_bytes: int) -> None:
        self.disks[url].resize(size_bytes)

    def _write(self, _: None, blob: Blob, range_: PageRange, body: bytes) -> None:
        self.disks[blob.url].write(range_.start, body)

    def _clear(self, _: None, blob: Blob, range_: PageRange) -> None:
        self.disks[blob.url].clear(*range_)

    def _snapshot(self, taken: Snapshot, blob: Blob, tag: str) -> None:
        self.held[taken.id] = self.disks[blob.url].copy()


def _followed(storage: MemoryStorage, name: str, note: Callable[..., None]) -> None:
    """Each call of that name is told to `note`, with its result, where it is about a disk."""
    call = getattr(storage, name)

    def following(*given: Any, **named: Any) -> Any:
        result = call(*given, **named)
        url = given[0] if isinstance(given[0], str) else given[0].url
        if url.startswith(DISKS):
            note(result, *given, **named)
        return result

    setattr(storage, name, following)


def stamped(number: int, range_: PageRange) -> bytes:
    """Bytes that no other write has: each page tells its write and its place."""

    def pages() -> Iterator[bytes]:
        for start in range(range_.start, range_.end, PAGE_BYTES):
            yield (number.to_bytes(8, "big") + start.to_bytes(8, "big")) * (PAGE_BYTES // 16)

    return b"".join(pages())
