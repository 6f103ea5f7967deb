"""Now and then a mirrored item is looked at without any job of ours: Azure expires points, keeps
its schedule, and people act in the vault itself. The item's place among what is due brings that
about (`shared.steps.tick`)."""

from datetime import datetime, timedelta

from shared.decide.posting import expire_message
from shared.model.item import Item
from shared.ports import DueSlot, Ports
from shared.steps.transact import watch


def looked_at_again(ports: Ports, seen_at: datetime) -> datetime:
    """When what was taken over then is to be taken over again."""
    return seen_at + timedelta(seconds=ports.pace.vault_mirror_seconds)


async def look_after(ports: Ports, item: Item) -> None:
    """Asks for a look where the last one is long enough ago. The next is entered first: the tick
    takes the entry that it came from away."""
    now = ports.clock.now()
    if item.mirrored_at is not None and now < looked_at_again(ports, item.mirrored_at):
        return
    await watch(ports, item.id)
    await ports.due.put_slot(DueSlot(item=item.id, slot=looked_at_again(ports, now)))
    await ports.bus.send([expire_message(item.id, "mirror", now)])
