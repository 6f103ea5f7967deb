"""The timer's step: starts what is due. Reads only what is due, however many items there are."""

from dataclasses import replace
from datetime import datetime

from shared import telemetry
from shared.decide.posting import slot_message
from shared.decide.schedule import latest_slot, next_slot
from shared.model.ids import ItemId, slot_job
from shared.model.item import Item, ProtectionState
from shared.ports import DueSlot, Ports
from shared.steps.policies import policy_of
from shared.steps.step import step
from shared.steps.transact import watch


@step("tick")
async def tick(ports: Ports) -> int:
    """Sends a `snapshot` message for each item that is due and moves it to its next slot.

    Returns how many were started. A death between the two, or a timer that fires twice, sends
    the same MessageId again: one job (fault 33). After an outage the latest missed slot alone is
    caught up with.
    """
    now, started = ports.clock.now(), 0
    due = [entry async for entry in ports.due.slots(now)]
    for entry in due:
        started += await _start(ports, entry, now)
    return started


async def _start(ports: Ports, entry: DueSlot, now: datetime) -> bool:
    row = await ports.ledger.get(entry.item, Item)
    if row is None or row.record.state is ProtectionState.PROTECTION_STOPPED:
        await ports.due.move_slot(entry, None)
        return False
    policy = await policy_of(ports, row.record.policy)
    slot = latest_slot(policy.schedule, policy.time_zone, now)
    wanted = slot is not None and slot >= entry.slot
    if wanted and slot is not None:
        await _send(ports, entry.item, slot)
    following = next_slot(policy.schedule, policy.time_zone, now)
    await ports.due.move_slot(entry, DueSlot(item=entry.item, slot=following))
    return wanted


async def _send(ports: Ports, item: ItemId, slot: datetime) -> None:
    """Each backup begins a trace of its own: a tick may start a thousand."""
    with telemetry.root_span("backup due", item=item, job=slot_job(item, slot)):
        await watch(ports, item)
        message = replace(slot_message(item, slot), traceparent=telemetry.traceparent())
        await ports.bus.send([message])
