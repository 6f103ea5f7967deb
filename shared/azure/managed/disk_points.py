"""Disk restore points: one disk of a machine's restore point, read by SAS as a snapshot is."""

from dataclasses import replace

from shared.azure.arm import Arm
from shared.azure.arm_errors import arm_translated
from shared.model.arm_ids import DiskPointId, PointId, Readable
from shared.model.errors import SourceGone

WHOLE = 100.0


async def is_whole(arm: Arm, target: DiskPointId) -> bool | None:
    """Whether all of its bytes are there; None where it does not exist."""
    points = arm.compute(target.subscription).disk_restore_point
    try:
        with arm_translated(str(target)):
            model = await points.get(*target.names)
    except SourceGone:
        return None
    percent = model.as_dict()["properties"].get("completionPercent")
    return percent is None or float(percent) >= WHOLE


def collection_of(image: Readable) -> PointId | None:
    """What two images must have in common for their changes to be told: the collection that disk
    restore points are in, and nothing for snapshots."""
    return replace(image.point, name="") if isinstance(image, DiskPointId) else None
