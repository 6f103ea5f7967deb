"""Items as a whole, for people's questions: as many reads as items, never for the pipeline."""

from collections.abc import Iterable

from shared.model.ids import ItemId
from shared.model.item import Item
from shared.ports import Ports
from shared.steps.side_by_side import side_by_side


async def read_items(ports: Ports, ids: Iterable[ItemId]) -> list[Item]:
    """Those of the items that exist, in the order asked for."""
    rows = await side_by_side(ids, lambda id_: ports.ledger.get(id_, Item))
    return [row.record for row in rows if row is not None]


async def every_item(ports: Ports) -> list[Item]:
    """All items, by id."""
    return await read_items(ports, [id_ async for id_ in ports.catalog.items()])
