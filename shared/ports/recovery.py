"""What the steps need of Azure's own vaults."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime
from typing import Any, Protocol

from shared.model.ids import DiskUrl
from shared.model.recovery import (
    VaultItem,
    VaultJob,
    VaultOperation,
    VaultPoint,
    VaultRestore,
)
from shared.model.vault import Vault


class RecoveryVaults(Protocol):
    """Recovery Services vaults. What is begun answers an operation's id, a plain name without
    signature: `operation` tells what has become of it. No call waits for the work itself.

    Besides what it names, any call raises `Deferred` where the vault has been asked too often (150
    looks at jobs an hour, and as many at operations), and `VaultGone` where the vault is not there
    (any more). Changes of an item's protection raise `Deferred` while another one runs.
    """

    async def make(self, vault: Vault) -> None:
        """The vault with its redundancy, made or adopted. Raises `Deferred` until it is there,
        `Invalid` where it cannot have that redundancy any more."""
        ...

    async def delete(self, vault: Vault) -> None:
        """One that is gone already is no error. Raises `Invalid` (`VaultNotEmpty`) while it holds
        items, softly deleted ones included, and says which; `Deferred` until it is gone."""
        ...

    async def put_policy(self, vault: Vault, name: str, policy: Mapping[str, Any]) -> None:
        """A policy in Azure's own words (`shared.decide.vault_policy`). Raises `Invalid` with what
        Azure says of it."""
        ...

    async def policy(self, vault: Vault, name: str) -> Mapping[str, Any] | None:
        """A policy as the vault has it; None where there is none of that name."""
        ...

    async def protection_of(self, machine: DiskUrl, region: str) -> str:
        """The id, in lower case, of the vault that protects a machine of that region, in whatever
        group; "" where none does."""
        ...

    async def discover(self, vault: Vault) -> str:
        """Asks the vault to look for machines anew; an operation's id, told by `discovered`."""
        ...

    async def discovered(self, vault: Vault, operation: str) -> bool:
        """Whether the discovery has ended."""
        ...

    def protectable(self, vault: Vault) -> AsyncIterator[list[DiskUrl]]:
        """The machines that the vault could protect, one list a request."""
        ...

    async def item(self, vault: Vault, machine: DiskUrl) -> VaultItem | None: ...

    def items(self, vault: Vault) -> AsyncIterator[list[VaultItem]]:
        """The machines that it protects, and those that are softly deleted; one list a request."""
        ...

    async def enable(self, vault: Vault, machine: DiskUrl, policy: str) -> str:
        """Puts a machine under a policy, or under another one. Raises `Invalid`, `SourceGone`."""
        ...

    async def backup(self, vault: Vault, machine: DiskUrl, retain_until: datetime) -> str:
        """Raises `Conflict` (`UserErrorBackupOperationInProgress`) while another backup takes its
        snapshot, which may be the one of an earlier try: the jobs tell; `NotFound`, `Invalid`."""
        ...

    async def restore(self, vault: Vault, wanted: VaultRestore) -> str:
        """Asked for once: one that fails ambiguously may have begun, as the jobs then tell. Raises
        `Invalid` for a resource group that restores may not make anything in."""
        ...

    async def stop(self, vault: Vault, machine: DiskUrl) -> str:
        """No more backups; its points are kept."""
        ...

    async def remove(self, vault: Vault, machine: DiskUrl) -> str:
        """Stops, and deletes its points: softly, where the vault does so. Answers "" where there
        is nothing (any more) to delete."""
        ...

    async def undelete(self, vault: Vault, machine: DiskUrl) -> str: ...

    async def operation(self, vault: Vault, operation: str) -> VaultOperation:
        """What has become of something begun. Raises `Transient` (`OperationGone`) where the vault
        does not know of it any more: what it was to do tells then."""
        ...

    async def job(self, vault: Vault, job: str) -> VaultJob:
        """With its sub-tasks and errors. Raises `NotFound`."""
        ...

    def jobs(self, vault: Vault, since: datetime) -> AsyncIterator[list[VaultJob]]:
        """Jobs that started since, one list a request, without sub-tasks."""
        ...

    async def cancel(self, vault: Vault, job: str) -> None:
        """Asks for the job's end. One that has ended, or is ending, is no error; raises `Invalid`
        (`UserErrorJobNotCancellable`) where it is too late for that, `NotFound`."""
        ...

    def points(self, vault: Vault, machine: DiskUrl) -> AsyncIterator[list[VaultPoint]]: ...
