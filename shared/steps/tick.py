"""The timer's step: starts what is due. Reads only what is due, however many items there are.

Due items are taken in batches: items read side by side, watched in one transaction, sent in one
batch, moved in a few transactions. So a tick holds no more than a batch in flight, and a death
costs no more than repeating one.
"""

from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import TypeVar

from shared import telemetry
from shared.decide.posting import slot_message
from shared.decide.start import NEVER_AGAIN, Start, plan_start, start_time
from shared.model.errors import Transient, VaultlineError
from shared.model.ids import ItemId, PolicyName, slot_job
from shared.model.item import Item, ProtectionState
from shared.model.ledger import TRANSACTION_ROWS
from shared.model.messages import Outgoing
from shared.model.policy import Policy
from shared.ports import DueSlot, Ports, SlotMove, Watch
from shared.steps.mirroring.again import look_after
from shared.steps.policies import policy_of
from shared.steps.side_by_side import side_by_side
from shared.steps.step import step
from shared.steps.stopping import delete_when_due

K = TypeVar("K")
V = TypeVar("V")

BATCH_ITEMS = TRANSACTION_ROWS
"""The watches of a batch fit into one transaction."""
READS_AT_ONCE = 32

Policies = dict[PolicyName, Policy | VaultlineError]
Plans = list[tuple[DueSlot, Start | VaultlineError]]


@step("tick")
async def tick(ports: Ports) -> int:
    """Sends a `snapshot` message for each item that is due and moves it to its next slot.

    Returns how many were started; after about `pace.starts_per_tick` the rest waits for the next
    tick. An item that cannot be read stops no other: it stays due, and `Transient` is raised at
    the end.
    """
    now, started = ports.clock.now(), 0
    policies: Policies = {}
    refusals: list[VaultlineError] = []
    async for entries in _batches(ports.due.slots(now)):
        plans = await _plan(ports, entries, policies, now)
        refusals += [plan for _, plan in plans if isinstance(plan, VaultlineError)]
        started += await _carry_out(ports, plans, started, now)
        if started >= ports.pace.starts_per_tick:
            break
    if refusals:
        raise Transient(f"{len(refusals)} items stay due, the first: {refusals[0]}", code="StayDue")
    return started


async def _batches(entries: AsyncIterator[DueSlot]) -> AsyncIterator[list[DueSlot]]:
    batch: list[DueSlot] = []
    async for entry in entries:
        batch.append(entry)
        if len(batch) == BATCH_ITEMS:
            yield batch
            batch = []
    if batch:
        yield batch


async def _plan(
    ports: Ports, entries: Sequence[DueSlot], policies: Policies, now: datetime
) -> Plans:
    """What becomes of each entry. Adds to `policies` those that are met for the first time."""
    due = dict.fromkeys(entry.item for entry in entries)
    items = await _each(due, lambda item: _active_item(ports, item))
    names = {item.policy for item in items.values() if isinstance(item, Item)}
    unknown = sorted(names - policies.keys())
    policies |= await _each(unknown, lambda name: policy_of(ports, name))
    return [(entry, _decide(entry, items[entry.item], policies, now)) for entry in entries]


async def _active_item(ports: Ports, id_: ItemId) -> Item | None:
    """The item, where it is still to be backed up. What is due of a stopped one is its deletion."""
    row = await ports.ledger.get(id_, Item)
    if row is None:
        return None
    if row.record.mirrors:
        await look_after(ports, row.record)
    if row.record.state is ProtectionState.PROTECTION_STOPPED:
        await delete_when_due(ports, row.record)
        return None
    return row.record


def _decide(
    entry: DueSlot, item: Item | VaultlineError | None, policies: Policies, now: datetime
) -> Start | VaultlineError:
    if item is None:
        return NEVER_AGAIN
    if isinstance(item, VaultlineError):
        return item
    policy = policies[item.policy]
    return policy if isinstance(policy, VaultlineError) else plan_start(policy, entry.slot, now)


async def _carry_out(ports: Ports, plans: Plans, started: int, now: datetime) -> int:
    """Watch, send, move: a death between any two sends the same MessageIds again, and an item is
    never off its slot before its message is on its way (fault 33). Returns how many started."""
    decided = [(entry, plan) for entry, plan in plans if isinstance(plan, Start)]
    slots = {entry.item: plan.wanted for entry, plan in decided if plan.wanted}
    times = {item: start_time(started + n, now, ports.pace) for n, item in enumerate(slots)}
    if slots:
        await ports.due.watch_all(
            [Watch(item=item, since=at, look_at=at) for item, at in times.items()]
        )
        await ports.bus.send(_messages(slots, times, now))
    if decided:
        await ports.due.move_slots([_move(entry, plan) for entry, plan in decided])
    return len(slots)


def _messages(
    slots: Mapping[ItemId, datetime], times: Mapping[ItemId, datetime], now: datetime
) -> list[Outgoing]:
    """Each backup begins a trace of its own: a tick may start a thousand."""
    messages = []
    for item, slot in slots.items():
        at = times[item]
        with telemetry.root_span("backup due", item=item, job=slot_job(item, slot)):
            message = replace(
                slot_message(item, slot),
                traceparent=telemetry.traceparent(),
                not_before=at if at > now else None,
            )
        messages.append(message)
    return messages


def _move(entry: DueSlot, plan: Start) -> SlotMove:
    to = DueSlot(item=entry.item, slot=plan.following) if plan.following else None
    return SlotMove(entry=entry, to=to)


async def _each(
    keys: Collection[K], look: Callable[[K], Awaitable[V]]
) -> dict[K, V | VaultlineError]:
    """What `look` finds for each key; where it fails, its error, which stops no other."""

    async def attempt(key: K) -> V | VaultlineError:
        try:
            return await look(key)
        except VaultlineError as error:
            return error

    return dict(zip(keys, await side_by_side(keys, attempt, READS_AT_ONCE), strict=True))
