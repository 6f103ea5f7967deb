"""Many items under one policy, as far as the tick reads them: rows and slots, no disks."""

from datetime import datetime, timedelta

from shared.contracts.policy import parse_policy
from shared.memory import ManualClock, MemoryPorts, memory_ports
from shared.model.ids import DiskUrl, ItemId, PolicyName, VaultName
from shared.model.item import Item, ProtectionState
from shared.model.ledger import Insert
from shared.model.pace import Pace
from shared.ports import DueSlot
from tests.sim.world import VAULT_URL

DAILY = """
name: daily
schedule: {frequency: daily, at: ["02:00"]}
retention: {daily: {keep: 30}}
"""
HOURLY = """
name: hourly
schedule: {frequency: hourly, every_hours: 4, from: "00:00", window_hours: 24}
retention: {daily: {keep: 30}}
"""
DAY = timedelta(days=1)
HOUR = timedelta(hours=1)
SLOT = datetime.fromisoformat("2026-03-04T02:00:00+00:00")
"""A slot of the daily policy."""


async def fleet(
    policy: str = DAILY, pace: Pace | None = None, now: datetime = SLOT + timedelta(seconds=30)
) -> MemoryPorts:
    """A world with that policy; `SLOT` has just come, where no other time is given."""
    ports = memory_ports(ManualClock(now), pace)
    await ports.catalog.put_policy(parse_policy(policy))
    return ports


async def add(
    ports: MemoryPorts,
    count: int,
    slot: datetime = SLOT,
    *,
    stem: str = "disk",
    policy: str = "daily",
    state: ProtectionState = ProtectionState.PROTECTED,
) -> list[ItemId]:
    """So many items whose next backup is at `slot`."""
    ids = [ItemId(f"{stem}-{number:04}") for number in range(count)]
    for id_ in ids:
        row = Item(
            id=id_,
            source=DiskUrl(f"https://vlsource.blob.core.windows.net/disks/{id_}"),
            policy=PolicyName(policy),
            vault=VaultName("vault"),
            replica=DiskUrl(f"{VAULT_URL}/{id_}"),
            state=state,
            protected_at=SLOT - DAY,
            first_slot=SLOT - DAY,
        )
        await ports.ledger.commit(id_, [Insert(row)])
        await ports.due.put_slot(DueSlot(item=id_, slot=slot))
    ports.faults.calls.clear()
    return ids


async def slots(ports: MemoryPorts) -> dict[ItemId, list[datetime]]:
    """Every item's slots, however far off."""
    found: dict[ItemId, list[datetime]] = {}
    async for entry in ports.due.slots(SLOT + 10_000 * DAY):
        found.setdefault(entry.item, []).append(entry.slot)
    return found
