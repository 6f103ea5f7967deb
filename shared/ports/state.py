"""What the steps need of state: the ledger of each item, and what lists and names them."""

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Protocol

from shared.model.group import Group, GroupName
from shared.model.ids import DiskUrl, ItemId, JobId, PolicyName, VaultName
from shared.model.inventory import KnownDisk
from shared.model.ledger import R, RowChange, Versioned
from shared.model.policy import Policy
from shared.model.vault import Vault


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
