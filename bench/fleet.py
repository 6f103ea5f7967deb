"""A store with many protected items, of which some are due.

The pipeline's own adapters enter one item that rests and one that is due. Both are then multiplied
in Azurite's database file while it is at rest: through its interface, which searches a partition
from end to end for every row written, a hundred thousand rows would take an hour.
"""

import json
from collections.abc import Mapping, Sequence
from datetime import timedelta
from pathlib import Path
from typing import Any

from shared.contracts.policy import parse_policy
from shared.decide.schedule import latest_slot, next_slot
from shared.model.ids import DiskUrl, ItemId, VaultName
from shared.model.item import Item, ProtectionState
from shared.model.ledger import Insert
from shared.ports import DueSlot, Ports

POLICY = parse_policy(
    'name: bench\nschedule: {frequency: daily, at: ["02:00"]}\nretention: {daily: {keep: 30}}\n'
)
RESTING, DUE = ItemId("resting-item"), ItemId("due-item")

Names = Mapping[ItemId, Sequence[str]]
Database = dict[str, Any]


async def plant(ports: Ports) -> None:
    """The policy, an item that rests, and an item whose slots an outage of a day has missed."""
    now = ports.clock.now()
    schedule, zone = POLICY.schedule, POLICY.time_zone
    missed = latest_slot(schedule, zone, now - timedelta(days=1))
    assert missed is not None
    item = Item(
        id=DUE,
        source=DiskUrl(f"https://bench.blob.core.windows.net/disks/{DUE}.vhd"),
        policy=POLICY.name,
        vault=VaultName("bench"),
        replica=DiskUrl(f"https://bench.blob.core.windows.net/vault/{DUE}"),
        state=ProtectionState.PROTECTED,
        protected_at=missed,
        first_slot=missed,
    )
    await ports.catalog.put_policy(POLICY)
    await ports.ledger.commit(DUE, [Insert(item)])
    await ports.due.put_slot(DueSlot(item=DUE, slot=missed))
    await ports.due.put_slot(DueSlot(item=RESTING, slot=next_slot(schedule, zone, now)))


def read(database: Path) -> Database:
    """What Azurite keeps of its tables. It must not run."""
    loaded: Database = json.loads(database.read_text())
    return loaded


def write(database: Path, planted: Database, names: Names) -> None:
    """The planted store, with every row of an item in `names` once for each of its names."""
    collections = [_multiplied(each, names) for each in planted["collections"]]
    database.write_text(json.dumps({**planted, "collections": collections}))


def _multiplied(collection: Database, names: Names) -> Database:
    """A collection (a table) with its rows multiplied, and its indices as the file has them: for
    each, the positions of the rows in its order."""
    rows = [copy for row in collection["data"] for copy in _copies(row, names)]
    for number, row in enumerate(rows, start=1):
        row["$loki"] = number
    indices = {
        key: {**index, "values": sorted(range(len(rows)), key=lambda at: str(rows[at][key]))}
        for key, index in collection["binaryIndices"].items()
    }
    grown = {"data": rows, "maxId": len(rows), "idIndex": None, "binaryIndices": indices}
    return {**collection, **grown}


def _copies(row: Database, names: Names) -> list[Database]:
    text = json.dumps(row)
    for item, its_names in names.items():
        if item in text:
            return [json.loads(text.replace(item, name)) for name in its_names]
    return [row]
