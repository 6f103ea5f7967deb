"""The disks that we know of, protected or not, and where to look for more."""

import hashlib
from dataclasses import dataclass
from datetime import datetime
from urllib.parse import quote, unquote, urlsplit

from shared.model.ids import DiskUrl, ItemId

DISCOVERY = ItemId("discovery")
"""The partition of discoveries' jobs, which belong to no item; no item may have this id."""


@dataclass(frozen=True, kw_only=True)
class Tag:
    """A blob index tag."""

    name: str
    value: str

    def __str__(self) -> str:
        return f"{self.name}={self.value}"


@dataclass(frozen=True, kw_only=True)
class Scope:
    """Where to look for disks: whatever URL begins with `url` (an account's endpoint, a
    container, or the beginning of blobs' names in one), and carries `tag` where one is given."""

    url: str
    tag: Tag | None = None


@dataclass(frozen=True, kw_only=True)
class FoundDisk:
    """A page blob as a search finds it."""

    url: DiskUrl
    size_bytes: int


@dataclass(frozen=True, kw_only=True)
class KnownDisk:
    """A registered disk. `item` is the one item that protects it, or is just about to."""

    url: DiskUrl
    size_bytes: int
    registered_at: datetime
    item: ItemId | None = None


@dataclass(frozen=True, kw_only=True)
class Discovered:
    """What a discovery came to: disks in its scope, and those not known before."""

    found: int = 0
    registered: int = 0


def disk_key(url: DiskUrl) -> str:
    """The same 32 digits for every way of writing one blob's URL: the case of its host, and what
    of its name is escaped, do not matter."""
    parts = urlsplit(url)
    host = f"{parts.scheme}://{parts.netloc}".lower()
    return hashlib.sha256(f"{host}{quote(unquote(parts.path))}".encode()).hexdigest()[:32]
