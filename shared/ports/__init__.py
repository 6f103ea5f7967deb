"""What the steps need from the world. Each Protocol lists what its callers use, and its duties.

Every call may fail with `Transient` (repeating later may help) besides the errors it names, and
may have taken effect although it failed: callers repeat, so every effect must bear repetition
(invariant 6). Adapters: `shared/azure` (the SDKs), `shared/memory` (tests, simulation).
"""

from collections.abc import AsyncIterable, AsyncIterator, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol

from shared.model.dead_letter import DeadLetter
from shared.model.disk import NO_TRAITS, DiskState, Fence, Snapshot, Traits
from shared.model.expiry import Guard
from shared.model.group import Group, GroupName
from shared.model.ids import DiskUrl, Epoch, ItemId, JobId, PolicyName, VaultName
from shared.model.inventory import FoundDisk, KnownDisk, Scope
from shared.model.ledger import R, RowChange, Versioned
from shared.model.manifest import Checksum
from shared.model.messages import Outgoing
from shared.model.pace import Pace
from shared.model.policy import Policy
from shared.model.ranges import ChangedRange, PageRange
from shared.model.vault import Vault
from shared.ports.inspection import Inspection
from shared.ports.machines import Machines
from shared.ports.recovery import RecoveryVaults


class Clock(Protocol):
    """The only reader of time, and the only one who waits for it."""

    def now(self) -> datetime:
        """Aware, UTC."""
        ...

    async def sleep(self, seconds: float) -> None:
        """Lets others run until so much time has passed."""
        ...


class Ledger(Protocol):
    """One partition an item; a transaction changes rows of one item together or not at all."""

    async def get(self, item: ItemId, kind: type[R], id_: str = "") -> Versioned[R] | None:
        """The row, or None where there is none."""
        ...

    def rows(self, item: ItemId, kind: type[R]) -> AsyncIterator[Versioned[R]]:
        """Every row of the kind, by row key."""
        ...

    async def commit(self, item: ItemId, changes: Sequence[RowChange]) -> None:
        """All changes or none; at most 100. Raises `Conflict` where a condition does not hold."""
        ...


class Catalog(Protocol):
    """Policies and vaults, and the two listings that no item's partition can give."""

    async def policy(self, name: PolicyName) -> Policy:
        """Raises `NotFound`."""
        ...

    async def policies(self) -> list[Policy]: ...

    async def put_policy(self, policy: Policy) -> None: ...

    async def vault(self, name: VaultName) -> Vault:
        """Raises `NotFound`."""
        ...

    async def vaults(self) -> list[Vault]: ...

    async def put_vault(self, vault: Vault) -> None: ...

    async def delete_vault(self, name: VaultName) -> None:
        """One that is gone already is no error."""
        ...

    async def note_item(self, item: ItemId) -> None:
        """Lists the item from now on. Written before the item's row: a listing skips ids whose
        row does not exist, so a death between the two shows nothing false."""
        ...

    async def forget_item(self, item: ItemId) -> None: ...

    def items(self) -> AsyncIterator[ItemId]: ...

    async def note_job(self, job: JobId, started_at: datetime) -> None:
        """Lists the job under its day, and under its item; written before the job's row, as with
        items. A job noted twice may be listed twice."""
        ...

    def jobs(
        self, since: datetime, until: datetime, item: ItemId | None = None
    ) -> AsyncIterator[JobId]:
        """Jobs that started from `since` to `until`, both included, newest first, read as they
        are asked for; those of one item where it is named."""
        ...


class Inventory(Protocol):
    """The disks that we know of, and whose they are: at most one item's (invariant 18)."""

    async def disk(self, url: DiskUrl) -> KnownDisk | None: ...

    async def register(self, disk: KnownDisk) -> bool:
        """Whether the disk was not known before; what is known of it stays."""
        ...

    async def claim(self, disk: KnownDisk) -> ItemId:
        """Makes the disk its `item`'s, unless it is another's; the owner. Decided by the service
        in one conditional write, however many claim at once."""
        ...

    async def release(self, url: DiskUrl, item: ItemId) -> None:
        """The disk stays known and belongs to nobody; nothing happens where it is not `item`'s."""
        ...

    def disks(self) -> AsyncIterator[KnownDisk]: ...


class Groups(Protocol):
    """Named sets of items. A member is listed whether or not such an item exists (any more)."""

    async def group(self, name: GroupName) -> Group:
        """Raises `NotFound`."""
        ...

    async def groups(self) -> list[Group]: ...

    async def put(self, group: Group) -> None: ...

    async def delete(self, name: GroupName) -> None:
        """With its list of members; one that is gone already is no error."""
        ...

    def members(self, name: GroupName) -> AsyncIterator[ItemId]: ...

    async def add(self, name: GroupName, items: Sequence[ItemId]) -> None: ...

    async def remove(self, name: GroupName, items: Sequence[ItemId]) -> None: ...


class Containers(Protocol):
    """Where vaults put what they keep."""

    async def make(self, url: str) -> None:
        """The container, which may exist already. Raises `Invalid` where it lies in an account
        that is not ours to use, or that we may not make containers in."""
        ...


@dataclass(frozen=True, kw_only=True)
class DueSlot:
    """A backup that the schedule wants at `slot`."""

    item: ItemId
    slot: datetime


@dataclass(frozen=True, kw_only=True)
class Watch:
    """An item that is not at rest, to be looked at from `look_at` on."""

    item: ItemId
    since: datetime
    look_at: datetime
    etag: str = ""


@dataclass(frozen=True, kw_only=True)
class SlotMove:
    """A slot, and the one that comes in its place; None where nothing is due any more."""

    entry: DueSlot
    to: DueSlot | None


class DueIndex(Protocol):
    """What is due when, ordered by time, so that a tick reads only what is due."""

    def slots(self, until: datetime) -> AsyncIterator[DueSlot]:
        """Slots due at or before `until`, earliest first, read as they are asked for. Slots that
        were given may be moved meanwhile."""
        ...

    async def put_slot(self, entry: DueSlot) -> None: ...

    async def move_slots(self, moves: Sequence[SlotMove]) -> None:
        """In as few transactions as the service takes; a new slot is there before the old one is
        gone. A slot that is gone already is no error."""
        ...

    def watches(self, until: datetime) -> AsyncIterator[Watch]: ...

    async def watch(self, item: ItemId, since: datetime, look_at: datetime) -> None:
        """Looks at the item from `look_at` on. Written *before* the item leaves its rest, so
        that no work is ever unwatched."""
        ...

    async def watch_all(self, watches: Sequence[Watch]) -> None:
        """The same for many items, each named once, in as few transactions as the service takes;
        their etags do not matter."""
        ...

    async def unwatch(self, watch: Watch) -> None:
        """Conditional on the watch being as read; nothing happens where it is not."""
        ...


class Bus(Protocol):
    """The queues."""

    async def send(self, messages: Sequence[Outgoing]) -> None:
        """Each message at least once; queues drop repeats of a MessageId for a while."""
        ...

    async def dead_letter(self, queue: str, lock_token: str, code: str, reason: str) -> None:
        """Moves a locked message to the dead letters, with words that a person understands."""
        ...


class DeadLetters(Protocol):
    """What no function could serve, by queue."""

    def peek(self, queue: str) -> AsyncIterator[DeadLetter]:
        """Oldest first, read as they are asked for. Raises `NotFound` where there is no such
        queue."""
        ...

    async def remove(self, letters: Sequence[DeadLetter]) -> None:
        """For good; those that are gone already are no error."""
        ...


class ReadGrant:
    """Leave to read one snapshot for a short while. Its URL is a secret: it is never printed,
    stored or sent (invariant 10)."""

    __slots__ = ("url",)

    def __init__(self, url: str) -> None:
        self.url = url

    def __repr__(self) -> str:
        return "ReadGrant(…)"


class Disks(Protocol):
    """Reading page images and their snapshots: sources and replicas alike. An image in several
    extents is read extent by extent (`shared.steps.extents`)."""

    async def state(self, disk: DiskUrl) -> DiskState:
        """Raises `SourceGone` where there is no such image, `Invalid` where it is no page image
        or lies in an account that is not ours to use."""
        ...

    def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        """The page images in the scope that are no replicas of ours, one list a request. Raises
        `SourceGone` where there is no such container, `Invalid` as with `state`."""
        ...

    async def take_snapshot(self, disk: DiskUrl, tag: str, if_etag: str | None = None) -> Snapshot:
        """Raises `Conflict` where the image is not at `if_etag` any more, `SourceGone`."""
        ...

    async def snapshots(self, disk: DiskUrl) -> list[Snapshot]:
        """Those that we took (they carry a tag), oldest first; none where the image is gone."""
        ...

    async def delete_snapshot(self, snapshot: Snapshot) -> None:
        """One that is gone already is no error."""
        ...

    def allocated(
        self, image: Snapshot | DiskUrl, within: PageRange | None = None
    ) -> AsyncIterator[list[PageRange]]:
        """What was ever written and not cleared since, in order, one list a request; merged.
        Only what lies `within` a range of the image, where one is given. Raises `SourceGone`."""
        ...

    def changed(
        self, image: Snapshot | DiskUrl, since: Snapshot
    ) -> AsyncIterator[list[ChangedRange]]:
        """What was written or cleared since, in order, one list a request. Raises `ChainBroken`
        where the service cannot tell, `SourceGone` where `image` is gone."""
        ...

    def grant(self, snapshot: Snapshot) -> AbstractAsyncContextManager[ReadGrant]:
        """Leave for the service to read the snapshot; taken back on the way out."""
        ...

    async def take_back(self, disk: DiskUrl) -> None:
        """Leave to read the disk's snapshots that a dead process may have left, where the service
        lets leave be taken back. Only while nothing is under way that reads them; what this
        process itself reads stays."""
        ...

    async def read(self, image: Snapshot | DiskUrl, range_: PageRange) -> bytes:
        """The bytes themselves, through the worker. Raises `SourceGone`, `Invalid` beyond the
        image's end."""
        ...


class Images(Protocol):
    """Writing page images: an image of one blob, or one extent of a larger one. Writers are fenced
    by the service itself (invariant 3): every write with a stale fence raises `StaleEpoch` and
    changes nothing.

    `copy`, `clear` and `write` are tried once: who asks for many at a time decides when to repeat
    what, and how many to send (`shared.steps.lanes`)."""

    async def create(
        self,
        disk: DiskUrl,
        size_bytes: int,
        tag: str,
        traits: Traits = NO_TRAITS,
        region: str = "",
    ) -> DiskState:
        """An image of zeros that carries `tag` (its `DiskState.tag`). A managed disk is made like
        one of these traits, in the region, or else in its resource group's. Raises
        `AlreadyExists`."""
        ...

    async def complete(self, disk: DiskUrl) -> None:
        """Makes a disk that a machine can have of what was written; repeatable, and nothing to do
        for a page blob. Raises `SourceGone`."""
        ...

    async def delete(self, disk: DiskUrl) -> None:
        """With its snapshots; one that is gone already is no error."""
        ...

    async def raise_epoch(self, disk: DiskUrl, epoch: Epoch) -> DiskState:
        """From now on only writers of `epoch` pass. Raises `StaleEpoch` where a higher one has
        been raised, `SourceGone` where there is no such image."""
        ...

    async def lease(self, disk: DiskUrl, lease_id: str) -> DiskState:
        """Repeatable with the same id. Raises `TargetBusy` where somebody else holds it."""
        ...

    async def release(self, disk: DiskUrl, lease_id: str) -> None:
        """A lease that is not held any more is no error."""
        ...

    async def resize(self, state: DiskState, size_bytes: int, fence: Fence) -> DiskState:
        """Only while the image is as in `state`. Raises `StaleEpoch` where it is not."""
        ...

    async def copy(
        self,
        disk: DiskUrl,
        range_: PageRange,
        source: ReadGrant,
        fence: Fence,
        source_start: int | None = None,
    ) -> Checksum:
        """Server-side, ≤ 4 MiB, from `source_start` of the source on, or else from the same
        offset; the checksum of what was copied. Raises `StaleEpoch`, `SourceGone`, `GrantOver`,
        `ServerSideCopyRefused`."""
        ...

    async def clear(self, disk: DiskUrl, range_: PageRange, fence: Fence) -> None: ...

    async def write(
        self, disk: DiskUrl, range_: PageRange, body: bytes, fence: Fence
    ) -> Checksum: ...


class Plans(Protocol):
    """Plans and manifests as compact blobs beside the replica. Immutable once written."""

    async def put(self, url: str, blocks: AsyncIterable[bytes]) -> None:
        """Writes the blocks one by one, as they come; the plan exists once all are written.
        Whatever the blocks raise goes through, and leaves no plan. The same bytes again are no
        error; raises `Conflict` where others lie there."""
        ...

    async def slice(self, url: str, offset: int, length: int) -> bytes: ...

    async def urls(self, prefix: str) -> list[str]:
        """The plans whose URLs begin so."""
        ...

    async def delete(self, prefix: str) -> None:
        """Every plan whose URL begins so."""
        ...


@dataclass(frozen=True, kw_only=True)
class Ports:
    """Everything a step may touch; made in one place, `shared/wiring.py`."""

    clock: Clock
    ledger: Ledger
    catalog: Catalog
    inventory: Inventory
    groups: Groups
    due: DueIndex
    bus: Bus
    dead_letters: DeadLetters
    disks: Disks
    images: Images
    plans: Plans
    containers: Containers
    machines: Machines
    inspection: Inspection
    recovery: RecoveryVaults
    pace: Pace = field(default_factory=Pace)
    guard: Guard = field(default_factory=Guard)
    staging_account: str = ""
    """The id of the storage account that restores from Recovery Services vaults pass through."""
