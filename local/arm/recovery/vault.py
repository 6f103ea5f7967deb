"""A vault, and what may be changed of it when."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Self

from local.arm.answers import JsonObject, not_supported
from local.arm.recovery.names import MachineRef, VaultRef
from local.arm.recovery.refusals import (
    invalid_vault,
    redundancy_belongs_to_vault,
    redundancy_is_frozen,
    soft_delete_stays_on,
)

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,49}")
_REDUNDANCIES = ("GeoRedundant", "LocallyRedundant", "ZoneRedundant")
_SWITCH = ("Enabled", "Disabled")
_SOFT_DELETE = (*_SWITCH, "AlwaysON")
_SOFT_DELETE_DAYS = range(14, 181)
_SKUS = ("Standard", "RS0")


@dataclass(frozen=True)
class SoftDelete:
    """Whether deleted backup data stays for a while, and how long."""

    state: str = "Enabled"
    days: int = 14
    enhanced_security: str = "Enabled"

    @property
    def is_on(self) -> bool:
        return self.state != "Disabled"


@dataclass(frozen=True)
class Vault:
    """A vault; `settles_at` ends its creation, `gone_at` its deletion.

    `known_machines` is what the last discovery found: it is stale until the next one ends at
    `refresh_at`. `was_used` stays true once an item was protected.
    """

    ref: VaultRef
    location: str
    sku: Mapping[str, Any]
    changed_at: datetime
    settles_at: datetime
    tags: Mapping[str, str] | None = None
    public_network_access: str = "Enabled"
    monitoring: Mapping[str, Any] | None = None
    redundancy: str = "GeoRedundant"
    cross_region_restore: str = "Disabled"
    redundancy_set_here: bool = False
    cross_subscription_restore: str = "Enabled"
    immutability: str | None = None
    soft_delete: SoftDelete = SoftDelete()
    was_used: bool = False
    known_machines: tuple[MachineRef, ...] = ()
    refresh_at: datetime | None = None
    gone_at: datetime | None = None

    @property
    def id(self) -> str:
        return self.ref.id

    def discovered(self, machines: tuple[MachineRef, ...]) -> Self:
        """What a discovery found takes the place of what was known."""
        return replace(self, known_machines=machines, refresh_at=None)


def new_vault(ref: VaultRef, body: JsonObject, now: datetime, settles_at: datetime) -> Vault:
    """The vault that a PUT makes. Raises 400 for what Azure refuses."""
    if not _NAME.fullmatch(ref.name):
        raise invalid_vault("name")
    if not body.get("location"):
        raise invalid_vault("location")
    sku = body.get("sku") or {}
    if sku.get("name") not in _SKUS:
        raise invalid_vault("sku")
    vault = Vault(ref, str(body["location"]), dict(sku), now, settles_at)
    return changed_vault(vault, body, now, has_items=False)


def changed_vault(vault: Vault, body: JsonObject, now: datetime, *, has_items: bool) -> Vault:
    """The vault after a PUT or PATCH: what is not mentioned stays.

    Redundancy is frozen while the vault has items. Raises 400, and 501 for what is not played.
    """
    given: JsonObject = body.get("properties") or {}
    if (body.get("identity") or {}).get("type", "None") != "None" or given.get("encryption"):
        raise not_supported("vaults with an identity or a customer's keys")
    vault = replace(vault, changed_at=now)
    if body.get("tags") is not None:
        vault = replace(vault, tags=dict(body["tags"]))
    if wanted := given.get("redundancySettings"):
        vault = _with_redundancy(vault, wanted, has_items=has_items)
    if wanted := given.get("monitoringSettings"):
        vault = replace(vault, monitoring=dict(wanted))
    if wanted := given.get("publicNetworkAccess"):
        vault = replace(
            vault, public_network_access=_one_of(wanted, _SWITCH, "publicNetworkAccess")
        )
    return _with_security(vault, given)


def _with_security(vault: Vault, given: JsonObject) -> Vault:
    security: JsonObject = given.get("securitySettings") or {}
    if immutability := security.get("immutabilitySettings"):
        vault = replace(vault, immutability=str(immutability["state"]))
    if soft_delete := security.get("softDeleteSettings"):
        vault = with_soft_delete(
            vault,
            state=soft_delete.get("softDeleteState"),
            days=soft_delete.get("softDeleteRetentionPeriodInDays"),
            enhanced_security=soft_delete.get("enhancedSecurityState"),
        )
    restore: JsonObject = given.get("restoreSettings") or {}
    if across := restore.get("crossSubscriptionRestoreSettings"):
        vault = replace(
            vault, cross_subscription_restore=str(across["crossSubscriptionRestoreState"])
        )
    return vault


def _one_of(value: object, known: tuple[str, ...], parameter: str) -> str:
    if value not in known:
        raise invalid_vault(parameter)
    return str(value)


def _with_redundancy(vault: Vault, wanted: JsonObject, *, has_items: bool) -> Vault:
    redundancy = _one_of(
        wanted.get("standardTierStorageRedundancy", vault.redundancy),
        _REDUNDANCIES,
        "redundancySettings",
    )
    across = _one_of(
        wanted.get("crossRegionRestore", vault.cross_region_restore), _SWITCH, "redundancySettings"
    )
    if has_items and redundancy != vault.redundancy:
        raise redundancy_is_frozen()
    return replace(
        vault, redundancy=redundancy, cross_region_restore=across, redundancy_set_here=True
    )


def with_storage_type(vault: Vault, properties: JsonObject, *, has_items: bool) -> Vault:
    """The older way to set the redundancy (`backupstorageconfig`). Raises 400."""
    if vault.redundancy_set_here:
        raise redundancy_belongs_to_vault()
    model = properties.get("storageModelType") or properties.get("storageType")
    redundancy = _one_of(model, _REDUNDANCIES, "storageModelType")
    if has_items and redundancy != vault.redundancy:
        raise redundancy_is_frozen()
    flag = properties.get("crossRegionRestoreFlag")
    across = vault.cross_region_restore if flag is None else _SWITCH[not flag]
    return replace(vault, redundancy=redundancy, cross_region_restore=across)


def with_soft_delete(
    vault: Vault, state: str | None, days: int | None, enhanced_security: str | None
) -> Vault:
    """Changed settings of soft delete; None leaves one. Raises 400."""
    known = vault.soft_delete
    if known.state == "AlwaysON" and state not in (None, "AlwaysON"):
        raise soft_delete_stays_on()
    if days is not None and days not in _SOFT_DELETE_DAYS:
        raise invalid_vault("softDeleteRetentionPeriodInDays")
    changed = SoftDelete(
        state=_one_of(state or known.state, _SOFT_DELETE, "softDeleteFeatureState"),
        days=days or known.days,
        enhanced_security=_one_of(
            enhanced_security or known.enhanced_security, _SWITCH, "enhancedSecurityState"
        ),
    )
    return replace(vault, soft_delete=changed)
