"""A machine's disks in one image: each has a stretch of its own, whatever becomes of others."""

from datetime import UTC, datetime

from hypothesis import given
from hypothesis import strategies as st

from shared.codec import from_json, to_json
from shared.model.disk import Member, Snapshot
from shared.model.extents import (
    SEAT_BYTES,
    Seat,
    covers,
    image_of,
    largest,
    layout_of,
    one_disk,
    piece,
    pieces,
    replica_image,
)
from shared.model.ids import DiskUrl
from shared.model.ranges import PageRange

MIB = 1024**2
REPLICA = DiskUrl("https://vault.blob.core.windows.net/v/vm/1")
AT = datetime(2026, 11, 21, tzinfo=UTC)
layouts = st.dictionaries(
    st.integers(0, 70), st.integers(1, 64).map(lambda n: n * MIB), min_size=1, max_size=5
).map(lambda sizes: tuple(Seat(number, sizes[number]) for number in sorted(sizes)))


def disk(name: str, size: int) -> Snapshot:
    return Snapshot(disk=DiskUrl(name), id=f"{name}-now", taken_at=AT, size_bytes=size, chain=name)


def machine(*members: tuple[int, int]) -> Snapshot:
    return Snapshot(
        disk=DiskUrl("/vm"),
        id="point",
        taken_at=AT,
        size_bytes=sum(size for _, size in members),
        chain="vm",
        members=tuple(
            Member(seat=seat, lun=seat - 1, name=f"d{seat}", snapshot=disk(f"d{seat}", size))
            for seat, size in members
        ),
    )


@given(layout=layouts, extent_bytes=st.integers(1, 16).map(lambda n: 4 * n * MIB))
def test_no_disk_reaches_into_anothers_seat(layout: tuple[Seat, ...], extent_bytes: int) -> None:
    image = replica_image(REPLICA, extent_bytes, layout)
    assert [extent.start for extent in image] == sorted(extent.start for extent in image)
    for seat in layout:
        held = [each for each in image if each.start // SEAT_BYTES == seat.number]
        assert held[0].start == seat.start
        assert sum(each.size_bytes for each in held) == seat.size_bytes
        assert held[-1].end == seat.start + seat.size_bytes
    assert len({extent.url for extent in image}) == len(image)


@given(layout=layouts, more=layouts)
def test_a_disks_blobs_keep_their_names_whatever_others_come(
    layout: tuple[Seat, ...], more: tuple[Seat, ...]
) -> None:
    before = {each.start: each.url for each in replica_image(REPLICA, 4 * MIB, layout)}
    after = {
        each.start: each.url for each in replica_image(REPLICA, 4 * MIB, largest(layout, more))
    }
    assert before.items() <= after.items()
    assert dict(largest(layout, more)) == {
        number: max(dict(layout).get(number, 0), dict(more).get(number, 0))
        for number in {*dict(layout), *dict(more)}
    }


def test_a_single_disks_replica_is_named_as_ever() -> None:
    assert replica_image(REPLICA, 4 * MIB, one_disk(MIB))[0].url == REPLICA
    seats = replica_image(REPLICA, 4 * MIB, (Seat(0, MIB), Seat(2, 5 * MIB)))
    assert [each.url for each in seats] == [
        REPLICA,
        f"{REPLICA}.seats/2",
        f"{REPLICA}.seats/2.extents/1",
    ]


def test_a_machines_snapshot_is_its_disks_and_survives_storage() -> None:
    taken = from_json(Snapshot, to_json(machine((0, 8 * MIB), (3, 4 * MIB))))
    assert layout_of(taken) == (Seat(0, 8 * MIB), Seat(3, 4 * MIB))
    first, second = image_of(taken)
    assert (first.url, first.start, first.size_bytes) == ("d0", 0, 8 * MIB)
    assert (second.url, second.start, second.size_bytes) == ("d3", 3 * SEAT_BYTES, 4 * MIB)
    assert second.snapshot.id == "d3-now"


def test_between_seats_there_is_nothing() -> None:
    image = image_of(machine((1, 8 * MIB), (3, 4 * MIB)))
    assert list(pieces(image, PageRange(0, SEAT_BYTES))) == []
    assert list(pieces(image, PageRange(2 * SEAT_BYTES, 3 * SEAT_BYTES))) == []
    extent, local = piece(image, PageRange(3 * SEAT_BYTES + MIB, 3 * SEAT_BYTES + 2 * MIB))
    assert (extent.url, local) == ("d3", PageRange(MIB, 2 * MIB))
    assert covers(image, PageRange(SEAT_BYTES, SEAT_BYTES + 8 * MIB))
    assert not covers(image, PageRange(SEAT_BYTES, SEAT_BYTES + 9 * MIB))
    assert not covers(image, PageRange(2 * SEAT_BYTES, 2 * SEAT_BYTES + 512))
