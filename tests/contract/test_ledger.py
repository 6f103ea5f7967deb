"""The ledger: conditional transactions of one item's rows."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from shared.model.errors import Conflict, Invalid
from shared.model.ids import ItemId, JobId
from shared.model.job import Job, Operation, Status
from shared.model.ledger import Delete, Insert, RowChange, Versioned, update
from shared.model.messages import Outgoing
from shared.model.outbox import Outbox
from tests.contract.worlds import World

AT = datetime(2026, 3, 4, 5, 6, 7, 89, tzinfo=UTC)


def job(item: ItemId, name: str = "backup-1", detail: str = "") -> Job:
    return Job(
        id=JobId(f"{item}.{name}"),
        item_id=item,
        operation=Operation.BACKUP,
        status=Status.IN_PROGRESS,
        started_at=AT,
        progressed_at=AT,
        detail=detail,
    )


def outbox(message_id: str, body: str = "{}") -> Outbox:
    message = Outgoing(queue="snapshot", message_id=message_id, body=body, not_before=AT)
    return Outbox(message=message, created_at=AT)


async def read(world: World, record: Job) -> Versioned[Job]:
    row = await world.ports.ledger.get(record.item_id, Job, record.id)
    assert row is not None
    return row


async def test_what_is_written_is_read(world: World) -> None:
    ledger, record = world.ports.ledger, job(world.item())
    assert await ledger.get(record.item_id, Job, record.id) is None
    await ledger.commit(record.item_id, [Insert(record)])
    assert (await read(world, record)).record == record


@pytest.mark.fault(54)
@pytest.mark.parametrize("length", [29_000, 31_000, 250_000])
async def test_a_long_record_is_read_whole(world: World, length: int) -> None:
    detail = "".join(chr(97 + number % 26) for number in range(length - 2)) + "ü€"
    record = job(world.item(), detail=detail)
    await world.ports.ledger.commit(record.item_id, [Insert(record)])
    assert (await read(world, record)).record == record
    row = await read(world, record)
    await world.ports.ledger.commit(record.item_id, [update(row, replace(record, detail="short"))])
    assert (await read(world, record)).record.detail == "short"


async def test_an_insert_over_a_row_is_refused(world: World) -> None:
    ledger, record = world.ports.ledger, job(world.item())
    await ledger.commit(record.item_id, [Insert(record)])
    with pytest.raises(Conflict):
        await ledger.commit(record.item_id, [Insert(replace(record, attempts=1))])
    with pytest.raises(Conflict):
        await ledger.commit(record.item_id, [Insert(record)])
    assert (await read(world, record)).record == record


async def test_a_replacement_holds_only_for_the_row_that_was_read(world: World) -> None:
    ledger, record = world.ports.ledger, job(world.item())
    await ledger.commit(record.item_id, [Insert(record)])
    row = await read(world, record)
    await ledger.commit(record.item_id, [update(row, replace(record, attempts=1))])
    with pytest.raises(Conflict):
        await ledger.commit(record.item_id, [update(row, replace(record, attempts=2))])
    with pytest.raises(Conflict):
        await ledger.commit(record.item_id, [Delete(record, row.etag)])
    assert (await read(world, record)).record.attempts == 1


async def test_a_missing_row_can_be_neither_replaced_nor_deleted_as_read(world: World) -> None:
    ledger, record = world.ports.ledger, job(world.item())
    await ledger.commit(record.item_id, [Insert(record)])
    row = await read(world, record)
    await ledger.commit(record.item_id, [Delete(record, row.etag)])
    with pytest.raises(Conflict):
        await ledger.commit(record.item_id, [update(row, record)])
    with pytest.raises(Conflict):
        await ledger.commit(record.item_id, [Delete(record, row.etag)])


async def test_an_unconditional_deletion_does_not_mind_a_missing_row(world: World) -> None:
    item = world.item()
    first, second, third = outbox("a"), outbox("b"), job(item)
    await world.ports.ledger.commit(item, [Insert(second)])
    changes: list[RowChange] = [Delete(first), Insert(third), Delete(second), Delete(outbox("c"))]
    await world.ports.ledger.commit(item, changes)
    assert await world.ports.ledger.get(item, Outbox, "b") is None
    assert (await read(world, third)).record == third
    await world.ports.ledger.commit(item, [Delete(first), Delete(second)])


async def test_a_transaction_changes_all_or_nothing(world: World) -> None:
    """Invariant 7: state and the messages it causes are stored together."""
    ledger, record = world.ports.ledger, job(world.item())
    await ledger.commit(record.item_id, [Insert(outbox("there"))])
    changes: list[RowChange] = [Insert(record), Delete(outbox("gone")), Insert(outbox("there"))]
    with pytest.raises(Conflict):
        await ledger.commit(record.item_id, changes)
    assert await ledger.get(record.item_id, Job, record.id) is None


@pytest.mark.fault(52)
async def test_of_two_writers_one_wins(world: World) -> None:
    ledger, record = world.ports.ledger, job(world.item())
    await ledger.commit(record.item_id, [Insert(record)])
    row = await read(world, record)
    won = 0
    for attempts in (1, 2):
        try:
            await ledger.commit(record.item_id, [update(row, replace(record, attempts=attempts))])
            won += 1
        except Conflict:
            pass
    assert won == 1


async def test_rows_of_one_kind_come_in_order_and_alone(world: World) -> None:
    item, ledger = world.item(), world.ports.ledger
    names = ["b", "a", "c"]
    await ledger.commit(item, [Insert(outbox(name)) for name in names] + [Insert(job(item))])
    await ledger.commit(world.item(), [Insert(outbox("elsewhere"))])
    rows = [row.record.message.message_id async for row in ledger.rows(item, Outbox)]
    assert rows == sorted(names)
    assert [row.record async for row in ledger.rows(item, Job)] == [job(item)]


async def test_a_row_read_in_a_listing_can_be_replaced(world: World) -> None:
    record = job(world.item())
    await world.ports.ledger.commit(record.item_id, [Insert(record)])
    rows = [row async for row in world.ports.ledger.rows(record.item_id, Job)]
    await world.ports.ledger.commit(record.item_id, [update(rows[0], replace(record, attempts=7))])
    assert (await read(world, record)).record.attempts == 7


@pytest.mark.fault(54)
async def test_a_transaction_takes_a_hundred_rows_and_no_more(world: World) -> None:
    item, ledger = world.item(), world.ports.ledger
    every = [Insert(outbox(f"message-{number:03}")) for number in range(101)]
    with pytest.raises(Invalid):
        await ledger.commit(item, every)
    await ledger.commit(item, every[:100])
    assert len([row async for row in ledger.rows(item, Outbox)]) == 100


async def test_a_transaction_names_a_row_once(world: World) -> None:
    item = world.item()
    with pytest.raises(Invalid):
        await world.ports.ledger.commit(item, [Insert(outbox("a")), Delete(outbox("a"))])


async def test_nothing_to_change_is_no_transaction(world: World) -> None:
    await world.ports.ledger.commit(world.item(), [])


@pytest.mark.parametrize("character", ["/", "\\", "#", "?", "\n", "\x7f"])
async def test_keys_that_the_table_cannot_hold_are_refused(world: World, character: str) -> None:
    item = world.item()
    with pytest.raises(Invalid):
        await world.ports.ledger.commit(item, [Insert(outbox(f"a{character}b"))])
    with pytest.raises(Invalid):
        await world.ports.ledger.get(item, Outbox, f"a{character}b")
