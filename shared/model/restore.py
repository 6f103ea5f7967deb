"""What a restore works on: kept in its job, so that activities carry references alone."""

from dataclasses import dataclass, field

from shared.model.disk import LeaseFence, Snapshot, Traits
from shared.model.extents import SEAT_BYTES, Extent, Image, image_of
from shared.model.ids import DiskUrl, PointId
from shared.model.machine import OS_LUN, MachineDisk

PREPARE = "Prepare target"
COPY = "Copy data to target"
VERIFY = "Verify target"
HAND_OVER = "Hand over"
SUB_TASKS = (PREPARE, COPY, VERIFY, HAND_OVER)


@dataclass(frozen=True, kw_only=True)
class RestoreDisk:
    """A managed disk that is made for a restore, of what the point has in `seat`. Where it is for
    a machine, that has it at `lun`, in the place of `replaces` where something is there."""

    url: DiskUrl
    seat: int
    size_bytes: int
    lun: int = OS_LUN
    name: str = ""
    traits: Traits = field(default_factory=Traits)
    replaces: DiskUrl | None = None

    @property
    def extent(self) -> Extent:
        return Extent(self.url, self.seat * SEAT_BYTES, self.size_bytes)

    @property
    def attached(self) -> MachineDisk:
        return MachineDisk(disk=self.url, lun=self.lun, name=self.name)


@dataclass(frozen=True, kw_only=True)
class RestoreWork:
    """`source` is the point's snapshot that is read; `safety` what the original held before.

    What is written to are `disks`, where there are any, and else `target` itself. `machine` gets
    them: in place where the target is the original, and else as a new machine.
    """

    point: PointId
    source: Snapshot
    target: DiskUrl
    original: bool
    lease_id: str
    safety: Snapshot | None = None
    disks: tuple[RestoreDisk, ...] = ()
    """By their seats."""
    machine: DiskUrl | None = None
    network: str = ""
    start: bool = False
    """The machine ran before its disks are swapped, and runs again after it."""
    filled: bool = False
    """The disks hold what they are to hold, and are being handed over: from here on nothing is
    written to them, whatever is repeated (invariant 6)."""

    @property
    def overwrites(self) -> bool:
        """Whether it writes to the original itself."""
        return self.original and not self.disks

    @property
    def targets(self) -> tuple[RestoreDisk, ...]:
        """The disks that are written to."""
        size, traits = self.source.size_bytes, self.source.traits
        alone = RestoreDisk(url=self.target, seat=0, size_bytes=size, traits=traits)
        return self.disks or (alone,)

    @property
    def image(self) -> Image:
        """The same as one image."""
        return tuple(disk.extent for disk in self.targets)

    @property
    def wanted(self) -> Image:
        """What of the source is restored: of a machine, the disks that are."""
        seats = {disk.seat for disk in self.targets}
        image = image_of(self.source)
        return tuple(extent for extent in image if extent.start // SEAT_BYTES in seats)

    @property
    def replaced(self) -> tuple[DiskUrl, ...]:
        """The disks that the machine had in the places of the new ones: they stay, unattached."""
        return tuple(disk.replaces for disk in self.disks if disk.replaces)

    @property
    def fence(self) -> LeaseFence:
        return LeaseFence(lease_id=self.lease_id)
