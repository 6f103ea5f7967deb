"""A few pages of source and replica are read and compared before an increment's commit; where
they differ, so may others."""

from shared import telemetry
from shared.decide.suspicion import REPLICA_DAMAGED, diff_incomplete, replica_damaged, suspicion
from shared.model.errors import ErrorDetail, SourceGone
from shared.model.extents import Image, covers, image_of, piece
from shared.model.ids import ItemId
from shared.model.ranges import PageRange
from shared.model.transfer import Transfer
from shared.ports import Ports
from shared.steps.damage import mark_suspects
from shared.steps.side_by_side import side_by_side


async def sampled_doubt(
    ports: Ports, item: ItemId, transfer: Transfer, replica: Image, places: list[PageRange]
) -> ErrorDetail | None:
    """What it means that the replica is not as the source at one of the places, which is told
    loudly; None where it is at all of them (invariant 32)."""
    source = image_of(transfer.snapshot)
    place = await first_difference(ports, source, replica, places)
    if place is None:
        return None
    meaning = await _meaning(ports, transfer, source, place)
    telemetry.alarm(f"{meaning.code}: {meaning.message}", item=item, job=transfer.job_id)
    return meaning


async def first_difference(
    ports: Ports, ours: Image, theirs: Image, places: list[PageRange]
) -> PageRange | None:
    """The first of the places, none of which crosses an extent, where two images differ."""
    telemetry.samples.add(len(places))

    async def differs(place: PageRange) -> bool:
        both = await side_by_side((ours, theirs), lambda image: _read(ports, image, place))
        return both[0] != both[1]

    found = zip(places, await side_by_side(places, differs), strict=True)
    return next((place for place, wrong in found if wrong), None)


async def _read(ports: Ports, image: Image, place: PageRange) -> bytes:
    extent, local = piece(image, place)
    return await ports.disks.read(extent.held, local)


async def _meaning(
    ports: Ports, transfer: Transfer, source: Image, place: PageRange
) -> ErrorDetail:
    """Where the source holds what it held at the base, it is the replica that is wrong."""
    assert transfer.base is not None
    base = image_of(transfer.base.source)
    if not covers(base, place):
        return diff_incomplete(place)
    try:
        before = await _read(ports, base, place)
    except SourceGone:
        return diff_incomplete(place)
    now = await _read(ports, source, place)
    return replica_damaged(place) if now == before else diff_incomplete(place)


async def note_damage(ports: Ports, item: ItemId, looked: Transfer) -> None:
    """Marks the points that share what a backup's own comparison found damaged (invariant 31); a
    diff that was incomplete damages no point."""
    blameless = looked.warning is not None and looked.warning.code != REPLICA_DAMAGED
    if looked.base is None or not looked.found or blameless:
        return
    why = suspicion(looked.found, looked.job_id)
    await mark_suspects(ports, item, looked.base.replica, looked.found, why)
