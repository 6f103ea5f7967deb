"""The storage service in memory: page blobs with snapshots, leases and sequence numbers.

What people and virtual machines do to disks (`put`, `erase`, `replace`…) is done here directly;
the pipeline's ports (`disks.py`) work on the same blobs.
"""

from collections import Counter
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from urllib.parse import urlsplit

from shared.memory.numbers import Numbers
from shared.memory.pages import PageImage
from shared.model.disk import NO_TRAITS, DiskState, EpochFence, Fence, LeaseFence, Snapshot, Traits
from shared.model.errors import AlreadyExists, Invalid, SourceGone, StaleEpoch, TargetBusy
from shared.model.ids import DiskUrl, Epoch
from shared.model.image_size import check_image_size
from shared.model.ranges import TRANSFER_UNIT_BYTES, PageRange
from shared.ports import Clock


@dataclass(frozen=True, kw_only=True)
class Kept:
    """One snapshot of a blob: its description and its pages."""

    snapshot: Snapshot
    pages: PageImage


@dataclass(frozen=True, kw_only=True)
class Version:
    """A snapshot, or a blob as it is: what a listing or a diff looks at."""

    disk: DiskUrl
    chain: str
    size_bytes: int
    pages: PageImage


@dataclass(kw_only=True)
class Blob:
    """One page blob. `sequence_number` and `lease_id` are its fences."""

    url: DiskUrl
    size_bytes: int
    chain: str
    etag: str
    tag: str = ""
    labels: dict[str, str] = field(default_factory=dict)
    """Its index tags."""
    pages: PageImage = field(default_factory=PageImage)
    sequence_number: int = 0
    lease_id: str = ""
    traits: Traits = NO_TRAITS
    machine: str = ""
    """The virtual machine that it is attached to."""
    snapshots: dict[str, Kept] = field(default_factory=dict)

    @property
    def state(self) -> DiskState:
        return DiskState(
            url=self.url,
            size_bytes=self.size_bytes,
            chain=self.chain,
            etag=self.etag,
            tag=self.tag,
            attached_to=DiskUrl(self.machine) if self.machine else None,
        )


class MemoryStorage:
    """All page blobs by URL. `requests` counts calls by name; the two byte counts are of what
    went through the worker. Flags make the service lie or refuse:

    - `refuse_server_side_copy`: every copy from a URL is refused;
    - `diff_answers_everything`: a diff lists all that is allocated and no clears (stock Azurite);
    - `diff_loses`: a diff leaves out so many of its ranges, the last ones (fault 1);
    - `foreign_hosts`: URLs that begin so lie in accounts that are not ours.
    """

    def __init__(self, clock: Clock) -> None:
        self.requests: Counter[str] = Counter()
        self.worker_bytes_read = 0
        self.worker_bytes_written = 0
        self.copied_bytes = 0
        self.refuse_server_side_copy = False
        self.diff_answers_everything = False
        self.diff_loses = 0
        self.foreign_hosts: tuple[str, ...] = ()
        self.listing_rows = 1000
        self._clock = clock
        self._versions = Numbers()
        self._blobs: dict[DiskUrl, Blob] = {}
        self.apart: dict[str, Kept] = {}
        """Snapshots that outlive their disk, by id: those of machines' restore points."""
        self._last_snapshot = clock.now()

    # What others do to their disks.

    def create(self, url: DiskUrl, size_bytes: int, tag: str = "") -> DiskState:
        """A blob of zeros. Raises `AlreadyExists`."""
        self.check_url(url)
        check_image_size(size_bytes)
        if url in self._blobs:
            raise AlreadyExists(f"{url} exists already")
        version = self._version()
        chain = f"created-{version}"
        blob = Blob(url=url, size_bytes=size_bytes, chain=chain, etag=version, tag=tag)
        self._blobs[url] = blob
        return blob.state

    def replace(self, url: DiskUrl, size_bytes: int) -> DiskState:
        """Another, empty image under the same name; its old snapshots stay, as they do in Azure."""
        old = self._blobs.pop(url)
        state = self.create(url, size_bytes)
        self._blobs[url].snapshots = old.snapshots
        return state

    def remove(self, url: DiskUrl) -> None:
        """The blob with its snapshots."""
        self._blobs.pop(url, None)

    def put(self, url: DiskUrl, start: int, body: bytes) -> None:
        blob = self.blob(url)
        self._change(blob, blob.pages.written(start, body))

    def erase(self, url: DiskUrl, range_: PageRange) -> None:
        blob = self.blob(url)
        self._change(blob, blob.pages.cleared(range_))

    def resize(self, url: DiskUrl, size_bytes: int) -> DiskState:
        blob = self.blob(url)
        check_image_size(size_bytes)
        pages = blob.pages
        if size_bytes < blob.size_bytes:
            pages = pages.cleared(PageRange(size_bytes, blob.size_bytes))
        blob.size_bytes = size_bytes
        self._change(blob, pages)
        return blob.state

    def label(self, url: DiskUrl, name: str, value: str) -> None:
        """An index tag."""
        self.blob(url).labels[name] = value

    def pages(self, image: Snapshot | DiskUrl) -> PageImage:
        """The pages behind a snapshot or of a blob as it is. Raises `SourceGone`."""
        return self.version(image).pages

    # What the ports are made of.

    def blob(self, url: DiskUrl) -> Blob:
        """Raises `SourceGone` where there is none, `Invalid` where it is not ours to use."""
        self.check_url(url)
        if url not in self._blobs:
            raise SourceGone(f"{url} does not exist")
        return self._blobs[url]

    def find(self, url: DiskUrl) -> Blob | None:
        self.check_url(url)
        return self._blobs.get(url)

    def blobs_below(self, url: str) -> list[Blob]:
        """The blobs in an account or container, or whose names begin as the URL does."""
        self.check_url(url)
        names_begun = urlsplit(url).path.strip("/").count("/")
        start = url if names_begun else f"{url.rstrip('/')}/"
        return [blob for name, blob in sorted(self._blobs.items()) if name.startswith(start)]

    def kept(self, snapshot: Snapshot) -> Kept:
        """Raises `SourceGone`."""
        if snapshot.id in self.apart:
            return self.apart[snapshot.id]
        blob = self.find(snapshot.disk)
        if blob is None or snapshot.id not in blob.snapshots:
            raise SourceGone(f"snapshot {snapshot.id} of {snapshot.disk} does not exist")
        return blob.snapshots[snapshot.id]

    def version(self, image: Snapshot | DiskUrl) -> Version:
        """Raises `SourceGone`."""
        of: Snapshot | DiskState
        if isinstance(image, Snapshot):
            kept = self.kept(image)
            of, disk, pages = kept.snapshot, image.disk, kept.pages
        else:
            blob = self.blob(image)
            of, disk, pages = blob.state, image, blob.pages
        return Version(disk=disk, chain=of.chain, size_bytes=of.size_bytes, pages=pages)

    def snapshot(self, blob: Blob, tag: str) -> Snapshot:
        """A snapshot under an id that no other has and that sorts after all before it."""
        taken_at = self.moment()
        taken = Snapshot(
            disk=blob.url,
            id=_snapshot_id(taken_at),
            taken_at=taken_at,
            size_bytes=blob.size_bytes,
            chain=blob.chain,
            tag=tag,
        )
        blob.snapshots[taken.id] = Kept(snapshot=taken, pages=blob.pages)
        return taken

    def moment(self) -> datetime:
        """Now, or a little later: no two are the same."""
        self._last_snapshot = max(
            self._clock.now(), self._last_snapshot + timedelta(microseconds=1)
        )
        return self._last_snapshot

    def write(self, blob: Blob, range_: PageRange, body: bytes) -> None:
        """Puts at most 4 MiB into a blob whose fence has been passed."""
        if range_.size_bytes > TRANSFER_UNIT_BYTES or len(body) != range_.size_bytes:
            raise Invalid(f"{range_} cannot be written in one request of {len(body)} bytes")
        self.check_within(blob, range_)
        self._change(blob, blob.pages.written(range_.start, body))

    def clear(self, blob: Blob, range_: PageRange) -> None:
        self.check_within(blob, range_)
        self._change(blob, blob.pages.cleared(range_))

    def raise_epoch(self, blob: Blob, epoch: Epoch) -> None:
        blob.sequence_number = max(blob.sequence_number, epoch)
        blob.etag = self._version()

    def check_within(self, blob: Blob, range_: PageRange) -> None:
        if range_.end > blob.size_bytes:
            raise Invalid(f"{range_} ends beyond {blob.url}, which has {blob.size_bytes} bytes")

    def check_url(self, url: str) -> None:
        if "?" in url:
            raise Invalid("a disk is named by its URL alone, without a query")
        if url.startswith(self.foreign_hosts or ("\0",)):
            raise Invalid(f"{url} lies in a storage account that is not configured")

    def now(self) -> datetime:
        return self._clock.now()

    def _change(self, blob: Blob, pages: PageImage) -> None:
        blob.pages = pages
        blob.etag = self._version()

    def _version(self) -> str:
        return f'"0x{next(self._versions):X}"'


def check_fence(blob: Blob, fence: Fence) -> None:
    """Raises `StaleEpoch` where the fence is not the blob's, `TargetBusy` where a lease that the
    writer does not name protects the blob."""
    match fence:
        case LeaseFence(lease_id=lease_id) if lease_id != blob.lease_id:
            raise StaleEpoch(f"the lease on {blob.url} is lost")
        case EpochFence() if blob.lease_id:
            raise TargetBusy(f"{blob.url} is leased by somebody else")
        case EpochFence(epoch=epoch) if epoch != blob.sequence_number:
            raise StaleEpoch(f"epoch {epoch} of {blob.url} is over: {blob.sequence_number} writes")


def _snapshot_id(taken_at: datetime) -> str:
    """As the service writes it: UTC with seven digits of a second."""
    return f"{taken_at:%Y-%m-%dT%H:%M:%S.%f}0Z"
