"""Names and tags of what we make: by them a repeat finds what an earlier try has made."""

import re
from collections.abc import Mapping

from shared.model.arm_ids import ArmId
from shared.model.disk import Traits
from shared.model.ids import digest
from shared.model.inventory import Tag

JOB_TAG = "vaultline-job"
"""Of a snapshot the tag it was taken under, of a disk the restore that made it."""
ITEM_TAG = "vaultline-item"
SKU_TAG = "vaultline-source-sku"
ZONE_TAG = "vaultline-source-zone"
"""Of a snapshot, what its disk was: snapshots themselves are on standard disks."""
NAME_CHARACTERS = 80


def snapshot_name(disk: ArmId, tag: str) -> str:
    """The name of a disk's snapshot under a tag: the same each time, another one for another
    disk; at most 80 of `A-Z a-z 0-9 _ -`."""
    mark = digest(f"{disk} {tag}")
    stem = re.sub(r"[^A-Za-z0-9-]", "_", tag)
    return f"vl-{stem[: NAME_CHARACTERS - len(mark) - 4]}-{mark}"


def tags_of(tag: str, source: Traits | None = None) -> dict[str, str]:
    """What tells people and us whose it is; and, of a snapshot, what its source was."""
    item = tag.partition(".")[0]
    told = {SKU_TAG: source.sku, ZONE_TAG: source.zone} if source else {}
    return {JOB_TAG: tag[:256], ITEM_TAG: item[:256], **{k: v for k, v in told.items() if v}}


def tag_in(body: Mapping[str, object]) -> str:
    """Our tag on a resource; "" where it is nobody's of ours."""
    tags = body.get("tags")
    return str(tags.get(JOB_TAG, "")) if isinstance(tags, Mapping) else ""


def is_tagged(body: Mapping[str, object], tag: Tag | None) -> bool:
    """Whether a resource carries the tag; any does, where none is asked for."""
    tags = body.get("tags")
    return tag is None or (isinstance(tags, Mapping) and tags.get(tag.name) == tag.value)
