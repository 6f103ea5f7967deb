"""Policies, vaults and the listings of items and jobs."""

from dataclasses import replace
from datetime import UTC, datetime, time, timedelta
from typing import Any

import pytest

from shared.model.errors import NotFound
from shared.model.ids import JobId, PolicyName, VaultName
from shared.model.policy import Policy, RetentionRule, Rule, Schedule, Week, Weekday
from shared.model.vault import Vault, VaultKind
from tests.contract.worlds import World

AT = datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC)


def policy(name: str) -> Policy:
    return Policy(
        name=PolicyName(name),
        schedule=Schedule(at=(time(2), time(14, 30)), on=frozenset({Weekday.SUNDAY})),
        retention=(RetentionRule(rule=Rule.MONTHLY, keep=12, week=Week.LAST, day=0),),
        document={"name": name, "retention": {"daily": {"keep": 30}}},
    )


async def test_a_policy_is_read_as_written_and_replaced(world: World) -> None:
    gold = policy(f"gold-{world.item()}")
    with pytest.raises(NotFound, match=gold.name):
        await world.ports.catalog.policy(gold.name)
    await world.ports.catalog.put_policy(gold)
    assert await world.ports.catalog.policy(gold.name) == gold
    second = replace(gold, version=2)
    await world.ports.catalog.put_policy(second)
    assert await world.ports.catalog.policy(gold.name) == second
    assert [each for each in await world.ports.catalog.policies() if each.name == gold.name] == [
        second
    ]


async def test_a_vault_is_read_as_written(world: World) -> None:
    name = VaultName(f"vault-{world.item()}")
    vault = Vault(name=name, kind=VaultKind.STORAGE, url=world.vault_root, created_at=AT)
    with pytest.raises(NotFound, match=name):
        await world.ports.catalog.vault(name)
    await world.ports.catalog.put_vault(vault)
    assert await world.ports.catalog.vault(name) == vault
    assert vault in await world.ports.catalog.vaults()


async def test_items_are_listed_until_they_are_forgotten(world: World) -> None:
    catalog, items = world.ports.catalog, sorted(world.item() for _ in range(3))
    for item in [*items, items[0]]:
        await catalog.note_item(item)
    assert [item async for item in catalog.items() if item in items] == items
    for _ in range(2):
        await catalog.forget_item(items[1])
    assert [item async for item in catalog.items() if item in items] == [items[0], items[2]]


async def test_jobs_are_listed_newest_first_within_a_span(world: World) -> None:
    """Of all items by day, of one item by itself; both ends of the span are in."""
    catalog, item, other = world.ports.catalog, world.item(), world.item()
    ages = {"a": 0, "b": 1, "c": 23, "d": 24 + 6, "e": 24 * 3}
    newest = datetime(2026, 3, 4, 23, 59, tzinfo=UTC)
    for name, hours in ages.items():
        await catalog.note_job(JobId(f"{item}.{name}"), newest - timedelta(hours=hours))
    await catalog.note_job(JobId(f"{other}.x"), newest - timedelta(hours=2))

    async def names(first: float, last: float = 0, **which: Any) -> str:
        since, until = newest - timedelta(hours=first), newest - timedelta(hours=last)
        found = [job async for job in catalog.jobs(since, until, **which)]
        return "".join(job.rpartition(".")[2] for job in found if item in job or other in job)

    assert await names(0) == "a"
    assert await names(23) == "abxc"
    assert await names(24 * 3) == "abxcde"
    assert await names(24 * 3, 1) == "bxcde"
    assert await names(30, 23) == "cd"
    assert await names(24 * 4, 24 * 3 + 0.5) == ""
    assert await names(24 * 400, item=item) == "abcde"
    assert await names(24, 1, item=item) == "bc"
    assert await names(24 * 400, item=other) == "x"
    assert await names(24 * 400, item=world.item()) == ""
