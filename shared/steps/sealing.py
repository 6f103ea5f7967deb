"""A replica is sealed: snapshots of all its extents become one, which a point can name."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from operator import attrgetter

from shared.model.disk import DiskState, ExtentSnapshot, Snapshot
from shared.model.extents import SEAT_BYTES, Extent, Image, moved
from shared.model.ids import DiskUrl
from shared.ports import Ports
from shared.steps.side_by_side import side_by_side

Pairs = Sequence[tuple[Extent, Snapshot]]
"""Extents of the replica, in order, and the snapshot of each."""


@dataclass(frozen=True, kw_only=True)
class Seal:
    """What a replica is sealed as: the image of `like`, whose disks, traits and blueprint its
    snapshot takes over. `unwritten` are the base's snapshots of extents that nobody has written to
    since: they stand for the new point as well (invariant 29)."""

    replica: DiskUrl
    like: Snapshot
    tag: str
    unwritten: Image


async def seal(ports: Ports, image: Image, states: Sequence[DiskState], as_: Seal) -> Snapshot:
    """Snapshots every extent, each only while it is as in its state (invariant 14). Raises
    `Conflict`."""
    stands = {extent.start: extent.snapshot for extent in as_.unwritten}

    async def one(place: tuple[Extent, DiskState]) -> Snapshot:
        extent, state = place
        before = stands.get(extent.start)
        if before and before.size_bytes == extent.size_bytes:
            return before
        return await ports.disks.take_snapshot(extent.url, as_.tag, if_etag=state.etag)

    taken = await side_by_side(list(zip(image, states, strict=True)), one)
    pairs = list(zip(image, taken, strict=True))
    return _machine(pairs, as_) if as_.like.members else _disk(pairs, as_.like, as_.tag)


def _machine(pairs: Pairs, as_: Seal) -> Snapshot:
    """Every disk's, in its seat."""
    members = tuple(
        replace(each, snapshot=_disk(_seated(pairs, each.seat), each.snapshot, as_.tag))
        for each in as_.like.members
    )
    newest = max((each.snapshot for each in members), key=attrgetter("id"))
    return Snapshot(
        disk=as_.replica,
        id=newest.id,
        taken_at=newest.taken_at,
        size_bytes=as_.like.size_bytes,
        chain=members[0].snapshot.chain,
        tag=as_.tag,
        members=members,
        blueprint=as_.like.blueprint,
    )


def _seated(pairs: Pairs, seat: int) -> Pairs:
    """Those of one disk, in its own offsets."""
    start = seat * SEAT_BYTES
    return [
        (moved(extent, -start), taken)
        for extent, taken in pairs
        if start <= extent.start < start + SEAT_BYTES
    ]


def _disk(pairs: Pairs, like: Snapshot, tag: str) -> Snapshot:
    """One disk's: that of its one page blob, or those of its extents."""
    (first, oldest), *others = pairs
    if not others:
        return replace(oldest, traits=like.traits)
    newest = max((taken for _, taken in pairs), key=attrgetter("id"))
    return Snapshot(
        disk=first.url,
        id=newest.id,
        taken_at=newest.taken_at,
        size_bytes=pairs[-1][0].end,
        chain=oldest.chain,
        tag=tag,
        extents=tuple(ExtentSnapshot(taken.id, taken.chain) for _, taken in pairs),
        extent_bytes=first.size_bytes,
        traits=like.traits,
    )
