"""Recovery Services vaults themselves: made, adopted, deleted."""

from dataclasses import dataclass
from typing import Any

from azure.core.exceptions import HttpResponseError

from shared.azure.arm import Arm, FirstAnswer, body_of
from shared.azure.recovery.asking import Json, body_in
from shared.azure.recovery.naming import vault_place
from shared.azure.recovery.orders import REDUNDANCIES, new_vault, redundancy
from shared.azure.recovery.refusals import vault_translated
from shared.model.arm_ids import VaultId
from shared.model.deferral import Deferred
from shared.model.errors import Invalid, Transient, VaultGone
from shared.model.vault import Redundancy, Vault, region_name

MAKING_SECONDS = 10.0
CHANGING_SECONDS = 20.0
"""How long a vault is given to be made, and to change; what was recorded took 8 and 20 s."""
_NOT_EMPTY = "ServiceResourceNotEmptyWithBackendMessage"
_OURS = {name: ours for ours, name in REDUNDANCIES.items()}


@dataclass(frozen=True)
class VaultSeen:
    """A vault as Azure shows it. Old services do not tell its redundancy."""

    region: str
    state: str
    redundancy: Redundancy | None


class Keeping:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def look(self, place: VaultId) -> VaultSeen | None:
        """The vault; None where there is none."""
        try:
            with vault_translated(str(place)):
                body = await self._vaults(place).get(place.group, place.name, cls=body_in)
        except VaultGone:
            return None
        return _seen(body)

    async def make(self, vault: Vault) -> None:
        place = vault_place(vault)
        seen = await self.look(place)
        if seen is None or seen.state == "Failed":
            seen = await self.create(place, vault.region)
        if seen.state != "Succeeded":
            raise Deferred(f"{place}: the vault is being made", retry_after=MAKING_SECONDS)
        if vault.region and seen.region != vault.region:
            raise Invalid(
                f"{place} is in {seen.region}, not in {vault.region}",
                action="Give the vault's own region, or another vault.",
            )
        if seen.redundancy is not vault.redundancy:
            await self.change(place, vault.redundancy)
            raise Deferred(f"{place}: its redundancy changes", retry_after=CHANGING_SECONDS)

    async def create(self, place: VaultId, region: str) -> VaultSeen:
        """Asks for the vault, in the region. Raises `Invalid`."""
        if not region:
            raise Invalid(
                f"{place} does not exist, and to make it takes a region",
                action="Give --region, or the id of a vault that exists.",
            )
        first = FirstAnswer()
        with vault_translated(str(place)):
            await self._vaults(place).begin_create_or_update(
                place.group, place.name, body_of(new_vault(region)), polling=first
            )
        return _seen(first.response.json())

    async def change(self, place: VaultId, wanted: Redundancy) -> None:
        """Asks for another redundancy. Raises `Invalid` once the vault holds an item."""
        with vault_translated(str(place)):
            await self._vaults(place).begin_update(
                place.group, place.name, body_of(redundancy(wanted)), polling=FirstAnswer()
            )

    async def delete(self, vault: Vault) -> None:
        """Raises `Invalid` (the service's code) while something is in it, `Deferred`."""
        place, first = vault_place(vault), FirstAnswer()
        try:
            with vault_translated(str(place)):
                await self._begin_deletion(place, first)
            await self._arm.output(first, str(place), by_status=True)
        except VaultGone:
            return
        except Transient as error:
            # Its operation goes with the vault.
            if error.code != "OperationGone":
                raise

    async def _begin_deletion(self, place: VaultId, first: FirstAnswer) -> None:
        """An empty vault was deleted at once until 2023: 200, which the SDK takes for an error."""
        try:
            await self._vaults(place).begin_delete(place.group, place.name, polling=first)
        except HttpResponseError as error:
            if error.status_code != 200:
                raise
            first.response = error.response

    def _vaults(self, place: VaultId) -> Any:
        return self._arm.recovery(place.subscription).vaults


def is_not_empty(error: Invalid) -> bool:
    return error.code == _NOT_EMPTY


def _seen(body: Json) -> VaultSeen:
    properties = body.get("properties") or {}
    settings = properties.get("redundancySettings") or {}
    return VaultSeen(
        region=region_name(str(body["location"])),
        state=str(properties.get("provisioningState") or "Succeeded"),
        redundancy=_OURS.get(str(settings.get("standardTierStorageRedundancy"))),
    )
