"""Bit rot in the simulation: a stored page changes, and no listing, etag or diff tells of it."""

from dataclasses import replace

from shared.memory.pages import PageImage, _Extent
from shared.model.extents import layout_of, piece
from shared.model.item import Item
from shared.model.ranges import PAGE_BYTES, PageRange
from tests.sim.world import World


def rot(world: World, item: Item, offset: int) -> int:
    """Inverts a bit at `offset` of the item's replica, in every version that holds the same page;
    how many those are. The replica must have something there."""
    assert item.base is not None
    start = offset // PAGE_BYTES * PAGE_BYTES
    page = PageRange(start, start + PAGE_BYTES)
    extent, local = piece(item.replica_of(layout_of(item.base.replica)), page)
    at = local.start + offset - start
    blob = world.ports.storage.blob(extent.url)
    (written,) = (each for each in blob.pages._extents if each.start <= at < each.end)
    blob.pages = _rotten(blob.pages, at, written.stamp)
    versions = 1
    for id_, kept in blob.snapshots.items():
        pages = _rotten(kept.pages, at, written.stamp)
        versions += pages is not kept.pages
        blob.snapshots[id_] = replace(kept, pages=pages)
    return versions


def _rotten(pages: PageImage, at: int, stamp: int) -> PageImage:
    """The same pages by every listing; itself where it does not hold that page."""
    extents = tuple(_flipped(each, at, stamp) for each in pages._extents)
    return PageImage(extents) if extents != pages._extents else pages


def _flipped(extent: _Extent, at: int, stamp: int) -> _Extent:
    if extent.stamp != stamp or not extent.start <= at < extent.end:
        return extent
    body = bytearray(extent.body)
    body[extent.skip + at - extent.start] ^= 1
    return replace(extent, body=bytes(body))
