"""What troubles a life: calls that fail, deaths, interruptions, strangers, a service that is not
what it should be."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from hypothesis import strategies as st

from shared.memory import Fault, busy
from shared.memory.faults import lost
from shared.model.extents import one_disk, piece
from shared.model.ids import DiskUrl, ItemId
from shared.model.item import Item
from shared.model.messages import QUEUES
from shared.model.ranges import PAGE_BYTES, PageRange
from tests.sim.machine_bytes import Bytes, stored
from tests.sim.machine_life import Life, Place
from tests.sim.rot import rot
from tests.sim.world import Crash


@dataclass(frozen=True)
class Failure:
    """Calls fail, before or after their effect; or the process dies there."""

    call: str
    skip: int
    times: int
    applied: bool
    how: str


@dataclass(frozen=True)
class Meanwhile:
    """Something happens between two calls of a step: ahead of one by that name (a glob), after so
    many more."""

    call: str
    skip: int
    what: str
    which: int
    place: Place


@dataclass(frozen=True)
class Mail:
    """Messages that are sent get lost, or arrive twice."""

    queue: str
    lose: bool
    times: int


@dataclass(frozen=True)
class Service:
    """How the source's service behaves from now on."""

    diff: str
    refuses_copies: bool


Trouble = Failure | Meanwhile | Mail | Service

DIFFS = ("exact", "exact", "everything", "no clears")
"""How the service tells what has changed: as it should, as stock Azurite, as fault 2."""
CALLS = (
    "ledger.commit",
    "ledger.get",
    "bus.send",
    "images.*",
    "images.copy",
    "disks.*",
    "disks.take_snapshot",
    "plans.*",
    "due.*",
    "catalog.*",
    "*",
)
HOW: dict[str, Callable[[], BaseException]] = {
    "lost": lost,
    "killed": Crash,
    "busy": busy(),
    "wait": busy(retry_after=20),
}
MEANWHILE = (
    "write",
    "serve",
    "serve late",
    "cancel",
    "check",
    "timers",
    "time",
    "base",
    "plans",
    "replica",
    "grants",
    "hub",
    "rot",
    "scrawl",
    "overtake",
)

some = st.integers(0, 9)
places = st.builds(Place, st.integers(0, 3), st.integers(-8, 40), st.integers(1, 24))
_moments = st.integers(0, 60)
_failures = st.builds(
    Failure,
    call=st.sampled_from(CALLS),
    skip=_moments,
    times=st.sampled_from([1, 1, 2, 15]),
    applied=st.booleans(),
    how=st.sampled_from(["killed", *HOW]),
)
_interruptions = st.builds(
    Meanwhile, st.just("*"), _moments, st.sampled_from(MEANWHILE), some, places
)
_sleepers = st.builds(
    Meanwhile,
    call=st.sampled_from(["images.copy", "images.*", "disks.take_snapshot", "ledger.commit"]),
    skip=st.integers(0, 3),
    what=st.sampled_from(["overtake"] * 8 + [*MEANWHILE]),
    which=some,
    place=places,
)
_mail = st.builds(Mail, st.sampled_from(QUEUES), st.booleans(), st.integers(1, 3))
_services = st.builds(Service, st.sampled_from(DIFFS), st.booleans())
troubles = st.one_of(_failures, _interruptions, _sleepers, _mail, _services)


def bring(life: Life, trouble: Trouble) -> None:
    """The trouble comes: at once, or when it strikes."""
    match trouble:
        case Failure(call, skip, times, applied, how):
            fault = Fault(call=call, skip=skip, times=times, applied=applied, error=HOW[how])
            life.world.ports.faults.plan(fault)
        case Meanwhile(call, skip):
            life.world.interrupt(call, skip, partial(_happen, life, trouble))
        case Mail(queue, lose, times):
            bus = life.world.ports.bus
            (bus.lose_next if lose else bus.duplicate_next)(queue, times)
        case Service(diff, refuses):
            life.storage.refuse_server_side_copy = refuses
            life.storage.diff_answers_everything = diff == "everything"
            life.world.diff_forgets_clears = diff == "no clears"


async def _happen(life: Life, trouble: Meanwhile) -> None:
    life.seen[f"between calls: {trouble.what}"] += 1
    world, item = life.world, life.item_at(trouble.which)
    match trouble.what:
        case "write":
            life.write(life.disk_of(trouble.which), trouble.place)
        case "serve":
            await world.serve_beside(trouble.place.pages)
        case "serve late":
            world.ports.clock.advance(90)
            await world.serve_beside(trouble.place.pages)
        case "overtake":
            await _overtake(life, item, trouble)
        case "cancel":
            await life.cancel(trouble.which)
        case "check":
            await life.check(item)
        case "timers":
            await life.timers()
        case "time":
            world.ports.clock.advance(7)
        case _ if known := life.records.items.get(item):
            interfere(life, known, trouble)


async def _overtake(life: Life, item: ItemId, trouble: Meanwhile) -> None:
    """A worker falls asleep in mid-work, which is cancelled, and a newer backup overtakes it."""
    await life.cancel(trouble.which)
    life.write(life.disk_of(trouble.which), trouble.place)
    await life.back_up(item)
    life.world.ports.clock.advance(90)
    await life.world.serve_beside(trouble.place.pages)


def interfere(life: Life, item: Item, trouble: Meanwhile) -> None:
    """Somebody else, or decay, takes away what is ours."""
    match trouble.what:
        case "base" if item.base:
            _delete_snapshot(life, item.source, item.base.source.id)
        case "plans":
            life.world.ports.plans._blobs.clear()
        case "replica":
            image = item.largest_replica
            _delete_blob(life, image[trouble.which % len(image)].url)
        case "grants":
            life.world.ports.grants.revoke_all()
        case "hub":
            life.world.lose_the_task_hub()
        case "rot":
            _rot(life, item, trouble.place)
        case "scrawl" if item.transferring is None:
            _scrawl(life, item, trouble.place)


def _delete_snapshot(life: Life, disk: DiskUrl, snapshot: str) -> None:
    blob = life.storage.find(disk)
    if blob is not None:
        blob.snapshots.pop(snapshot, None)
    life.records.lost.add(snapshot)


def _delete_blob(life: Life, url: DiskUrl) -> None:
    """With its snapshots."""
    blob = life.storage.find(url)
    if blob is not None:
        life.records.lost |= blob.snapshots.keys()
        life.storage.remove(url)


def _rot(life: Life, item: Item, place: Place) -> None:
    """The vault's storage damages a page, in every version of the replica that holds it, and
    nothing tells of it."""
    pages = sorted(_live(life, item).pages)
    if not pages:
        return
    life.seen["rot"] += 1
    page = pages[sum(place) % len(pages)]
    rot(life.world, item, page * PAGE_BYTES + life.seen["rot"] % PAGE_BYTES)
    life.records.rotten.add(_live(life, item).pages[page])


def _scrawl(life: Life, item: Item, place: Place) -> None:
    """Somebody writes into the replica, between two transfers (invariant 4)."""
    pages = sorted(_live(life, item).pages)
    if pages:
        life.seen["scrawl"] += 1
        start = pages[sum(place) % len(pages)] * PAGE_BYTES
        extent, range_ = piece(item.largest_replica, PageRange(start, start + PAGE_BYTES))
        life.storage.put(extent.url, range_.start, b"scrawled" * (PAGE_BYTES // 8))


def _live(life: Life, item: Item) -> Bytes:
    """The replica as it is, as far as its base goes."""
    found = Bytes(item.base.replica.size_bytes if item.base else 0)
    for extent in item.replica_of(one_disk(found.size_bytes)):
        if life.storage.find(extent.url):
            first = extent.start // PAGE_BYTES
            pages = stored(life.storage, extent.url).pages
            found.pages |= {first + n: page for n, page in pages.items()}
    found.clear(found.size_bytes, max(found.size_bytes, *dict(item.replica_layout).values()))
    return found
