"""What a restore works on: kept in its job, so that activities carry references alone."""

from dataclasses import dataclass

from shared.model.disk import LeaseFence, Snapshot
from shared.model.extents import Image, whole
from shared.model.ids import DiskUrl, PointId

PREPARE = "Prepare target"
COPY = "Copy data to target"
VERIFY = "Verify target"
HAND_OVER = "Hand over"
SUB_TASKS = (PREPARE, COPY, VERIFY, HAND_OVER)


@dataclass(frozen=True, kw_only=True)
class RestoreWork:
    """`source` is the point's snapshot that is read; `safety` what the original held before."""

    point: PointId
    source: Snapshot
    target: DiskUrl
    original: bool
    lease_id: str
    safety: Snapshot | None = None

    @property
    def image(self) -> Image:
        """The target, which is one page blob."""
        return whole(self.target, self.source.size_bytes)

    @property
    def fence(self) -> LeaseFence:
        return LeaseFence(lease_id=self.lease_id)
