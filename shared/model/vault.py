"""Vaults: where recovery points live."""

from dataclasses import dataclass
from datetime import datetime
from enum import StrEnum

from shared.model.ids import VaultName


class VaultKind(StrEnum):
    STORAGE = "storage"
    """Our page-blob replicas in a backup storage account."""


@dataclass(frozen=True, kw_only=True)
class Vault:
    """`url` is the container that holds the replicas, e.g. `https://acct.blob…/vault`."""

    name: VaultName
    kind: VaultKind
    url: str
    created_at: datetime
