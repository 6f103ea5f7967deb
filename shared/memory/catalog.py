"""Policies, vaults and the listings of items and jobs, in memory."""

from collections.abc import AsyncIterator
from datetime import UTC, datetime

from shared.codec import from_json, to_json
from shared.memory.faults import Faults
from shared.model.errors import NotFound
from shared.model.ids import ItemId, JobId, PolicyName, VaultName
from shared.model.policy import Policy
from shared.model.rowkeys import check_key
from shared.model.vault import Vault


class MemoryCatalog:
    """Values are kept as JSON, so that none is shared with the caller."""

    def __init__(self, faults: Faults | None = None) -> None:
        self._faults = faults or Faults()
        self._policies: dict[PolicyName, str] = {}
        self._vaults: dict[VaultName, str] = {}
        self._items: set[ItemId] = set()
        self._jobs: set[tuple[datetime, JobId]] = set()

    async def policy(self, name: PolicyName) -> Policy:
        async with self._faults.around("catalog.policy"):
            if name not in self._policies:
                raise NotFound(f"there is no policy '{name}'")
            return from_json(Policy, self._policies[name])

    async def policies(self) -> list[Policy]:
        async with self._faults.around("catalog.policies"):
            return [from_json(Policy, body) for _, body in sorted(self._policies.items())]

    async def put_policy(self, policy: Policy) -> None:
        async with self._faults.around("catalog.put_policy"):
            check_key(policy.name)
            self._policies[policy.name] = to_json(policy)

    async def vault(self, name: VaultName) -> Vault:
        async with self._faults.around("catalog.vault"):
            if name not in self._vaults:
                raise NotFound(f"there is no vault '{name}'")
            return from_json(Vault, self._vaults[name])

    async def vaults(self) -> list[Vault]:
        async with self._faults.around("catalog.vaults"):
            return [from_json(Vault, body) for _, body in sorted(self._vaults.items())]

    async def put_vault(self, vault: Vault) -> None:
        async with self._faults.around("catalog.put_vault"):
            check_key(vault.name)
            self._vaults[vault.name] = to_json(vault)

    async def delete_vault(self, name: VaultName) -> None:
        async with self._faults.around("catalog.delete_vault"):
            self._vaults.pop(name, None)

    async def note_item(self, item: ItemId) -> None:
        async with self._faults.around("catalog.note_item"):
            self._items.add(ItemId(check_key(item)))

    async def forget_item(self, item: ItemId) -> None:
        async with self._faults.around("catalog.forget_item"):
            self._items.discard(item)

    async def items(self) -> AsyncIterator[ItemId]:
        async with self._faults.around("catalog.items"):
            found = sorted(self._items)
        for item in found:
            yield item

    async def note_job(self, job: JobId, started_at: datetime) -> None:
        async with self._faults.around("catalog.note_job"):
            self._jobs.add((started_at.astimezone(UTC), JobId(check_key(job))))

    async def jobs(
        self, since: datetime, until: datetime, item: ItemId | None = None
    ) -> AsyncIterator[JobId]:
        async with self._faults.around("catalog.jobs"):
            found = [row for row in self._jobs if since <= row[0] <= until]
            found = [row for row in found if item is None or row[1].startswith(f"{item}.")]
        for _, job in sorted(found, key=lambda row: (-row[0].timestamp(), row[1])):
            yield job
