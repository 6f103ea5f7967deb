"""Identities: one NewType each, and the deterministic names that make repeats harmless.

Ids are made so that the item can be read off them (`<item>.<rest>`): whoever holds an id knows
the ledger partition it lives in, and no index is needed to find it.
"""

import hashlib
import re
from datetime import UTC, datetime
from typing import NewType
from uuid import NAMESPACE_URL, uuid5

from shared.model.errors import Invalid

ItemId = NewType("ItemId", str)
JobId = NewType("JobId", str)
PointId = NewType("PointId", str)
PolicyName = NewType("PolicyName", str)
VaultName = NewType("VaultName", str)
RequestId = NewType("RequestId", str)
DiskUrl = NewType("DiskUrl", str)
"""Where a page-addressed disk image lives: a blob URL without query, so never a SAS."""
Epoch = NewType("Epoch", int)
"""The fencing number of one round of one transfer; grows by one, kept by the ledger."""
NO_EPOCH = Epoch(0)

_ITEM = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,38}[a-z0-9])?")
_REST = re.compile(r"[a-z]+-[a-z0-9]{1,40}")
_NAME = re.compile(r"[A-Za-z](?:[A-Za-z0-9-]{1,148})[A-Za-z0-9]")


def item_id(text: str) -> ItemId:
    """1–40 of `a-z 0-9 -`, neither first nor last a hyphen. Raises `Invalid`."""
    if not _ITEM.fullmatch(text):
        raise Invalid(
            f"'{text[:60]}' is not an item id: 1 to 40 lower-case letters, digits or hyphens, "
            "beginning and ending with a letter or digit"
        )
    return ItemId(text)


def name(text: str, what: str) -> str:
    """A policy's or vault's name: 3–150 letters, digits and hyphens. Raises `Invalid`."""
    if not _NAME.fullmatch(text):
        raise Invalid(
            f"'{text[:60]}' is not a {what} name: 3 to 150 letters, digits or hyphens, "
            "beginning with a letter and not ending with a hyphen"
        )
    return text


def default_item_id(source: DiskUrl) -> ItemId:
    """The id of an item whose protector chose none: its blob's name and a digest of its URL."""
    stem = re.sub(r"[^a-z0-9]+", "-", source.rsplit("/", 1)[-1].lower()).strip("-")[:28]
    return item_id(f"{stem or 'disk'}-{digest(source)}")


def digest(text: str) -> str:
    """Ten hexadecimal digits that stand for `text` in a name."""
    return hashlib.sha256(text.encode()).hexdigest()[:10]


def stamp(at: datetime) -> str:
    """`at` as a sortable part of a name, e.g. `20261121t020000z`."""
    return at.astimezone(UTC).strftime("%Y%m%dt%H%M%Sz")


def slot_job(item: ItemId, slot: datetime) -> JobId:
    """The backup job of a schedule's slot: the same however often the timer fires."""
    return JobId(f"{item}.backup-{stamp(slot)}")


def request_job(item: ItemId, operation: str, request: RequestId) -> JobId:
    """The job that a request starts: the same however often the request arrives."""
    return JobId(f"{item}.{operation}-{digest(request)}")


def following_job(job: JobId, operation: str) -> JobId:
    """The job that a backup's end gives rise to: at most one of an operation."""
    item, _, rest = job.partition(".")
    return JobId(f"{item}.{operation}-{rest.partition('-')[2]}")


def job_id(text: str) -> JobId:
    """`ITEM.OPERATION-…`. Raises `Invalid`."""
    item, dot, rest = text.partition(".")
    if not (dot and _ITEM.fullmatch(item) and _REST.fullmatch(rest)):
        raise Invalid(
            f"'{text[:60]}' is not a job's id: it looks like os-disk.backup-3f9c0a1b2d",
            action="`vaultline jobs` shows them.",
        )
    return JobId(text)


def lease_of(job: JobId) -> str:
    """What a restore leases its target under: the same however often it is tried."""
    return str(uuid5(NAMESPACE_URL, job))


def point_of(job: JobId) -> PointId:
    """The recovery point that a backup job makes; at most one a job."""
    item, _, rest = job.partition(".")
    return PointId(f"{item}.point-{rest.removeprefix('backup-')}")


def item_of(id_: JobId | PointId | str) -> ItemId:
    """The item that a job's or point's id belongs to. Raises `Invalid`."""
    return item_id(id_.partition(".")[0])
