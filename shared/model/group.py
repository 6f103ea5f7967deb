"""Protection groups: items that are planned for together, under one policy and in one vault."""

from dataclasses import dataclass
from datetime import datetime
from typing import NewType

from shared.model.ids import PolicyName, VaultName

GroupName = NewType("GroupName", str)


@dataclass(frozen=True, kw_only=True)
class Group:
    name: GroupName
    policy: PolicyName
    vault: VaultName
    created_at: datetime
