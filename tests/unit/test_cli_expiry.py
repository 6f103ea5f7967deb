"""`expire`, `hold` and `release`: what would go, what goes, and what a person says about it."""

import asyncio
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.model.expiry import Expiry
from shared.model.item import Item
from shared.model.ledger import Replace
from shared.model.messages import RETENTION, ExpirePoints
from shared.steps.retention import expire_points
from tests.unit.cli_world import ITEM, NOW, World, base_of, furnish, item, point, world

__all__ = ["world"]


def clean_up(world: World) -> None:
    """The retention run that the host makes of the message."""
    asyncio.run(expire_points(world.ports, ExpirePoints(item_id=ITEM)))


def abnormal(world: World) -> list[str]:
    """An item whose next clean-up would leave but the newest of its points; the others' ids."""
    points = [point(NOW - timedelta(days=days)) for days in (60, 50, 40, 0)]
    world.put(item(base=base_of(points[-1])), *points)
    asyncio.run(world.ports.catalog.note_item(ITEM))
    return [each.id for each in points[:-1]]


def test_a_dry_run_explains_every_point(world: World) -> None:
    points = furnish(world)
    views = world.json("expire", "disk-1", "--dry-run")
    assert [(view["point_id"], view["decision"], view["held"]) for view in views] == [
        (points[0].id, "expire", None),
        (points[1].id, "keep", None),
        (points[2].id, "keep", None),
    ]
    assert [view["release_snapshot"] for view in views] == [False, True, False]
    assert world.json("expire", "--dry-run") == views
    assert "no longer kept: daily until 2026-11-11" in world.vaultline("expire", "--dry-run").stdout
    assert world.json("points", "disk-1") != []


def test_a_run_does_exactly_what_the_dry_run_said(world: World) -> None:
    furnish(world)
    planned = world.json("expire", "disk-1", "--dry-run")
    asked = world.json("expire", "disk-1")
    assert (asked["operation"], asked["status"]) == ("Expire", "NotStarted")
    assert [m.message_id for m in world.ports.bus.messages(RETENTION)]
    clean_up(world)
    left = {view["id"]: view for view in world.json("points", "disk-1")}
    assert set(left) == {each["point_id"] for each in planned if each["decision"] == "keep"}
    released = {each["point_id"] for each in planned if each["release_snapshot"]}
    assert released == {id_ for id_, view in left.items() if view["tiers"] == ["vault"]}
    assert world.json("show", asked["id"])["status"] == "Completed"
    after = world.json("expire", "disk-1", "--dry-run")
    assert {each["decision"] for each in after} == {"keep"}


def test_an_abnormal_plan_is_held_until_it_is_confirmed(world: World) -> None:
    old = abnormal(world)
    views = world.json("expire", "disk-1", "--dry-run")
    assert [view["decision"] for view in views] == ["held", "held", "held", "keep"]
    assert "without a new point" in views[0]["held"]
    clean_up(world)
    assert len(world.json("points", "disk-1")) == 4
    assert world.json("items")[0]["expiry_held"] == views[0]["held"]
    assert views[0]["held"] in world.vaultline("show", "disk-1").stdout
    refused = world.error("expire", "disk-1")
    assert "--confirm" in refused["recommended_action"]
    told = world.vaultline("expire", "disk-1", "--dry-run").stdout
    assert "`vaultline expire disk-1 --confirm` allows it" in told

    world.json("expire", "disk-1", "--confirm")
    clean_up(world)
    left = [view["id"] for view in world.json("points", "disk-1")]
    assert len(left) == 1
    assert left[0] not in old
    assert world.json("show", "disk-1")["expiry_held"] is None


def test_a_confirmation_is_for_one_plan_only(world: World) -> None:
    abnormal(world)
    world.json("expire", "disk-1", "--confirm")
    world.put(point(NOW - timedelta(days=45)))
    clean_up(world)
    assert len(world.json("points", "disk-1")) == 5
    (job,) = world.json("jobs", "disk-1")
    assert (job["status"], job["error"]["code"]) == ("CompletedWithWarnings", "ExpiryHeld")


def test_a_second_request_waits_for_the_first(world: World) -> None:
    furnish(world)
    first = world.json("expire", "disk-1")["id"]
    assert first in world.error("expire", "disk-1")["message"]
    clean_up(world)
    world.json("expire", "disk-1")


def test_a_held_point_outlives_its_policy_in_both_tiers(world: World) -> None:
    oldest, middle, _ = furnish(world)
    for each in (oldest, middle):
        held = world.json("hold", each.id, "--reason", "audit 2026")
        assert held["hold"]["reason"] == "audit 2026"
        assert held["expires_at"] is None
    views = world.json("expire", "disk-1", "--dry-run")
    assert {view["decision"] for view in views} == {"keep"}
    assert not any(view["release_snapshot"] for view in views)
    clean_up(world)
    assert [view["tiers"] for view in world.json("points", "disk-1")] == [
        ["vault"],
        ["snapshot", "vault"],
        ["snapshot", "vault"],
    ]
    assert "audit 2026" in world.vaultline("show", oldest.id).stdout

    freed = world.json("release", oldest.id)
    assert (freed["hold"], freed["expires_at"]) == (None, "2026-11-11T02:00:00Z")
    assert world.json("release", oldest.id) == freed
    clean_up(world)
    assert world.json("points", "disk-1")[0]["id"] == middle.id


def test_a_hold_keeps_its_beginning_and_takes_the_new_reason(world: World) -> None:
    id_ = furnish(world)[0].id
    first = world.json("hold", id_)["hold"]
    second = world.json("hold", id_, "--reason", "why")["hold"]
    assert (second["since"], second["reason"]) == (first["since"], "why")


def test_deleting_the_data_spares_a_held_point(world: World) -> None:
    points = furnish(world)
    world.json("hold", points[1].id)

    async def delete() -> None:
        row = await world.ports.ledger.get(ITEM, Item)
        assert row
        going = replace(row.record, delete_data=True, expiry=Expiry())
        await world.ports.ledger.commit(ITEM, [Replace(going, row.etag)])

    asyncio.run(delete())
    clean_up(world)
    assert [view["id"] for view in world.json("points", "disk-1")] == [points[1].id]


@pytest.mark.parametrize(
    ("args", "code", "words"),
    [
        (("expire", "disk-2", "--dry-run"), "NotFound", "disk-2"),
        (("expire", "disk-2"), "NotFound", "disk-2"),
        (("expire",), "InvalidInput", "asked for by item"),
        (("expire", "disk-1", "--dry-run", "--confirm"), "InvalidInput", "exclude each other"),
        (("expire", "NOT AN ID"), "InvalidInput", "not an item id"),
        (("hold", "disk-1.point-zap"), "NotFound", "there is no point"),
        (("hold", "zap.zap"), "NotFound", "there is no point"),
        (("hold", "NOT AN ID"), "InvalidInput", "not an item id"),
        (("hold", "disk-1.point-zap", "--reason", "x" * 201), "InvalidInput", "one line"),
        (("release", "disk-1.point-zap"), "NotFound", "there is no point"),
        (("release",), "BadUsage", "POINT"),
    ],
)
def test_a_wrong_request_ends_with_2_and_says_what_to_do(
    world: World, args: tuple[str, ...], code: str, words: str
) -> None:
    furnish(world)
    error = world.error(*args, status=2)
    assert error["code"] == code
    assert words in error["message"]
    assert error["recommended_action"]


def test_a_point_whose_removal_has_begun_cannot_be_held(world: World) -> None:
    world.put(item(), point(NOW, expiring="no longer kept"))
    error = world.error("hold", point(NOW).id)
    assert "is being removed: no longer kept" in error["message"]
