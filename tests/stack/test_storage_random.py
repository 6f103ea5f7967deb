"""Random histories against a model: every diff, applied to the older state, gives the newer."""

import random
from dataclasses import dataclass, field

import pytest
from azure.storage.blob import BlobClient

from tests.stack.azurite_fixtures import SOURCE, RunningStorage
from tests.stack.storage_disks import PAGE, at, changed, new_disk, read_url, take_snapshot

pytest_plugins = ("tests.stack.azurite_fixtures",)
pytestmark = pytest.mark.stack

MAX_PAGES = 48


@dataclass
class Model:
    """A disk as a list of pages: `None` is not allocated, else the tag of its last write."""

    pages: list[int | None] = field(default_factory=lambda: [None] * 32)

    def fill(self, first: int, tags: list[int | None]) -> None:
        self.pages[first : first + len(tags)] = tags

    def resize(self, count: int) -> None:
        self.pages = self.pages[:count] + [None] * (count - len(self.pages))


@dataclass
class History:
    """A real disk and its model, driven by one seed; every write has a tag of its own."""

    disk: BlobClient
    other: BlobClient
    rng: random.Random
    model: Model = field(default_factory=Model)
    bytes_of: dict[int, bytes] = field(default_factory=dict)
    other_pages: list[int] = field(default_factory=list)

    def _tag(self, content: bytes) -> int:
        self.bytes_of[len(self.bytes_of)] = content
        return len(self.bytes_of) - 1

    def _range(self) -> tuple[int, int]:
        first = self.rng.randrange(len(self.model.pages))
        return first, self.rng.randint(1, min(8, len(self.model.pages) - first))

    def prepare_source(self) -> None:
        """Another disk of half-written pages to copy from."""
        for page in range(0, MAX_PAGES, 2):
            content = bytes([self.rng.randrange(1, 4)]) * PAGE
            self.other.upload_page(content, page * PAGE, PAGE)

    def write(self) -> None:
        first, count = self._range()
        # Few values, so that rewrites with the same bytes are common.
        contents = [bytes([self.rng.randrange(1, 4)]) * PAGE for _ in range(count)]
        self.disk.upload_page(b"".join(contents), first * PAGE, count * PAGE)
        self.model.fill(first, [self._tag(content) for content in contents])

    def clear(self) -> None:
        first, count = self._range()
        self.disk.clear_page(first * PAGE, count * PAGE)
        self.model.fill(first, [None] * count)

    def copy(self) -> None:
        first, count = self._range()
        source = self.rng.randrange(MAX_PAGES - count)
        self.disk.upload_pages_from_url(
            read_url(self.other), first * PAGE, count * PAGE, source * PAGE
        )
        content = self.other.download_blob().readall()
        pages = [content[at * PAGE : (at + 1) * PAGE] for at in range(source, source + count)]
        self.model.fill(first, [self._tag(page) for page in pages])

    def resize(self) -> None:
        count = self.rng.randint(16, MAX_PAGES)
        self.disk.resize_blob(count * PAGE)
        self.model.resize(count)

    def step(self) -> None:
        actions = [
            self.write,
            self.write,
            self.write,
            self.clear,
            self.clear,
            self.copy,
            self.resize,
        ]
        self.rng.choice(actions)()

    def content(self, pages: list[int | None]) -> bytes:
        return b"".join(bytes(PAGE) if tag is None else self.bytes_of[tag] for tag in pages)


def expected_diff(before: list[int | None], after: list[int | None]) -> dict[int, bool]:
    """Changed page -> whether it was cleared."""
    padded = before + [None] * (len(after) - len(before))
    return {
        page: tag is None
        for page, (old, tag) in enumerate(zip(padded, after, strict=False))
        if old != tag
    }


def listed_diff(disk: BlobClient, since: str) -> dict[int, bool]:
    listed = changed(disk, since)
    assert listed == sorted(listed, key=lambda span: span.first)
    return {page: span.cleared for span in listed for page in range(span.first, span.end)}


@pytest.mark.parametrize("seed", range(8))
def test_every_diff_turns_the_older_snapshot_into_the_newer(
    storage: RunningStorage, seed: int
) -> None:
    container = storage.container(SOURCE)
    history = History(
        new_disk(container, "disk", 32),
        new_disk(container, "other", MAX_PAGES),
        random.Random(seed),
    )
    history.prepare_source()
    snapshots: list[tuple[str, list[int | None]]] = []
    for _ in range(5):
        for _ in range(history.rng.randint(1, 12)):
            history.step()
        snapshots.append((take_snapshot(history.disk), list(history.model.pages)))
    for _ in range(3):
        history.step()

    for index, (newer, pages) in enumerate(snapshots):
        client = at(history.disk, newer)
        assert client.download_blob().readall() == history.content(pages)
        for older, old_pages in snapshots[: index + 1]:
            assert listed_diff(client, older) == expected_diff(old_pages, pages)
    for older, old_pages in snapshots:
        assert listed_diff(history.disk, older) == expected_diff(old_pages, history.model.pages)
    assert history.disk.download_blob().readall() == history.content(history.model.pages)
