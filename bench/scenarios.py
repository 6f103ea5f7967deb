"""What model and simulation are asked about: disks, limits, and what is assumed of Azure."""

from dataclasses import dataclass, field
from math import ceil

from bench.disk import GIB, KIB, MIB
from shared.model.extents import EXTENT_BYTES
from shared.model.pace import Pace
from shared.model.plan import PART_BYTES, PART_OPS
from shared.model.ranges import TRANSFER_UNIT_BYTES

TIB = 1024 * GIB
LISTED = 10_000
"""Ranges in one answer."""
PER_BACKUP_LEDGER = 45
"""Requests to tables, one after the other, that a backup of one part takes (measured)."""


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What Azure publishes: of one page blob, and of one storage account (in a region with the
    least ingress, 25 Gbit/s)."""

    blob_bytes_per_second: float = 60.0 * MIB
    blob_requests_per_second: float = 500.0
    account_bytes_per_second: float = 25e9 / 8
    account_requests_per_second: float = 20_000.0


@dataclass(frozen=True, kw_only=True)
class Assumed:
    """What nobody publishes, and what is ours to choose. Seconds are of one such thing."""

    copy_seconds: float = 0.1
    """Until a copy of pages is answered, on an idle blob."""
    ledger_seconds: float = 0.02
    message_seconds: float = 0.1
    """From its sending until a function has it."""
    messages_per_second: float = 300.0
    """Sent, received and settled: what a Standard namespace's thousand operations serve."""
    snapshot_seconds: float = 2.0
    listing_seconds: float = 0.5
    """One answer of a listing."""
    instances: int = 40
    instance_seconds: float = 0.5
    """Between two instances that the platform adds, one after the other."""
    parts_an_instance: int = 16
    """`maxConcurrentCalls` of `host.json`."""
    cpu_seconds_a_request: float = 0.001
    """Measured: see the transfers."""
    copies_at_once: int = 16
    """Of one part."""


@dataclass(frozen=True, kw_only=True)
class Scenario:
    """Disks that are backed up at once: each has `bytes_each` to copy in runs of `run_bytes`, told
    in `ranges_each` ranges, to a replica of `extents` page blobs."""

    name: str
    disks: int
    bytes_each: int
    run_bytes: int
    ranges_each: int
    extents: int
    source_is_one_blob: bool = False
    limits: Limits = Limits()
    assumed: Assumed = Assumed()
    pace: Pace = field(default_factory=Pace)

    @property
    def copies_each(self) -> int:
        return ceil(self.bytes_each / min(self.run_bytes, TRANSFER_UNIT_BYTES))

    @property
    def parts_each(self) -> int:
        return max(ceil(self.bytes_each / PART_BYTES), ceil(self.copies_each / PART_OPS))

    @property
    def slots(self) -> int:
        return self.assumed.instances * self.assumed.parts_an_instance

    @property
    def messages_each(self) -> int:
        """Command, snapshot, plan, fan-out, parts, commit, retention."""
        return self.parts_each + 6

    @property
    def prelude_seconds(self) -> float:
        """From the command until the first part's message is sent."""
        assumed = self.assumed
        listings = ceil(self.ranges_each / LISTED) * assumed.listing_seconds
        ledger = 0.7 * PER_BACKUP_LEDGER * assumed.ledger_seconds
        return ledger + assumed.snapshot_seconds + listings + 4 * assumed.message_seconds

    @property
    def epilogue_seconds(self) -> float:
        """From the last part's end until the point: the audit's two listings side by side, the
        replica's snapshots, the ledger."""
        assumed = self.assumed
        listings = ceil(self.ranges_each / LISTED) * assumed.listing_seconds
        ledger = 0.3 * PER_BACKUP_LEDGER * assumed.ledger_seconds
        return assumed.message_seconds + listings + assumed.snapshot_seconds + ledger


def first_copy(name: str, size: int, *, extents: int, one_blob: bool = False) -> Scenario:
    """A full copy of a disk that is allocated from end to end."""
    return Scenario(
        name=name,
        disks=1,
        bytes_each=size,
        run_bytes=TRANSFER_UNIT_BYTES,
        ranges_each=extents,
        extents=extents,
        source_is_one_blob=one_blob,
    )


def night(run_bytes: int, instances: int = Assumed().instances) -> Scenario:
    """A thousand disks of 128 GiB of which 2 % have changed, started as a tick starts them."""
    disks, size, share = 1000, 128 * GIB, 0.02
    run = f"{run_bytes // KIB} KiB" if run_bytes < MIB else f"{run_bytes // MIB} MiB"
    name = f"1,000 × 128 GiB, 2 % in runs of {run}, {instances} instances"
    return Scenario(
        name=name,
        disks=disks,
        bytes_each=round(size * share / run_bytes) * run_bytes,
        run_bytes=run_bytes,
        ranges_each=round(size * share / run_bytes),
        extents=ceil(size / EXTENT_BYTES),
        assumed=Assumed(instances=instances),
    )


SCENARIOS = (
    first_copy("first copy of 1 TiB, extents of 64 GiB", TIB, extents=ceil(TIB / EXTENT_BYTES)),
    first_copy("the same into one page blob", TIB, extents=1),
    first_copy("the same from one page blob", TIB, extents=16, one_blob=True),
    night(4 * MIB),
    night(64 * KIB),
    night(64 * KIB, instances=4),
)
