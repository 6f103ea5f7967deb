"""Vaults: where recovery points live."""

import re
from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model.errors import Invalid
from shared.model.extents import EXTENT_BYTES
from shared.model.ids import VaultName

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9-]{1,49}")
_REGION = re.compile(r"[a-z][a-z0-9]{2,39}")


class VaultKind(StrEnum):
    STORAGE = "storage"
    """Our page-blob replicas in a backup storage account."""
    RECOVERY_SERVICES = "recovery-services"
    """Azure's own: it takes the snapshots and moves the bytes, we drive and mirror it."""


class Redundancy(StrEnum):
    """How often and where the storage service keeps what is stored."""

    LRS = "LRS"
    GRS = "GRS"
    ZRS = "ZRS"


@dataclass(frozen=True, kw_only=True)
class Vault:
    """`url` is the container that holds the replicas, e.g. `https://acct.blob…/vault`, or the
    resource id of a Recovery Services vault. `region` is empty where nobody said it."""

    name: VaultName
    kind: VaultKind
    url: str
    created_at: datetime
    region: str = ""
    redundancy: Redundancy = Redundancy.LRS
    extent_bytes: int = EXTENT_BYTES
    """How much of a disk one page blob holds, in replicas that are yet to be made."""


def vault_name(text: str) -> VaultName:
    """2–50 letters, digits and hyphens, beginning with a letter: Azure's rule. Raises `Invalid`."""
    if not _NAME.fullmatch(text):
        raise Invalid(
            f"'{text[:60]}' is not a vault name: 2 to 50 letters, digits or hyphens, "
            "beginning with a letter"
        )
    return VaultName(text)


def region_name(text: str) -> str:
    """A region as Azure's tools write it: `West Europe` is `westeurope`. Raises `Invalid`."""
    name = text.replace(" ", "").lower()
    if not _REGION.fullmatch(name):
        raise Invalid(f"'{text[:60]}' is not a region: examples are westeurope and eastus2")
    return name
