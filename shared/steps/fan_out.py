"""The second step behind `transfer-to-vault`: sends the parts of an accepted plan out."""

from dataclasses import replace

from shared import telemetry
from shared.decide.posting import part_message
from shared.decide.spreading import spread
from shared.model.errors import NotFound
from shared.model.item import Item
from shared.model.messages import Outgoing, TransferStep
from shared.model.plan import decode_index
from shared.model.transfer import Phase, Transfer
from shared.ports import Ports
from shared.steps.plan import without_plan
from shared.steps.step import step
from shared.steps.transact import the


@step("fan out")
async def fan_out(ports: Ports, request: TransferStep) -> int:
    """Sends every part that is not done; returns how many. Repeatable: the messages follow from
    the transfer's row alone, so they need no outbox rows of their own."""
    row = await ports.ledger.get(request.item_id, Transfer, request.job_id)
    if row is None or row.record.phase is not Phase.COPYING:
        return 0
    if row.record.epoch != request.epoch:
        return 0
    try:
        item = await the(ports, request.item_id, Item)
        messages = await _parts(ports, item.record, row.record)
    except NotFound:
        await without_plan(ports, request.item_id, row.record)
        return 0
    await ports.bus.send(messages)
    return len(messages)


async def _parts(ports: Ports, item: Item, transfer: Transfer) -> list[Outgoing]:
    assert transfer.plan is not None
    index = decode_index(await ports.plans.slice(transfer.plan.url, *transfer.plan.index_slice))
    parent = telemetry.traceparent()
    waiting = [(n, part) for n, part in enumerate(index) if not transfer.is_done(n)]
    return [
        replace(part_message(item.id, transfer, number, part), traceparent=parent)
        for number, part in spread(waiting, item.extent_bytes)
    ]
