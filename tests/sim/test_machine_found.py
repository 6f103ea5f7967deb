"""What random lives (`test_machine.py`) have found, as small as it gets."""

from shared.model.ids import RequestId, request_job
from shared.model.job import Job, Status
from shared.model.ranges import PageRange
from shared.steps.expiry import request_expiry
from shared.steps.tick import tick
from tests.sim.scenes import Truth, backup, content, started
from tests.sim.world import DISK, ITEM


async def test_a_clean_up_asked_for_while_its_item_is_deleted_ends() -> None:
    """Invariant 22: the job ends with the item; it is not left under way for ever."""
    world = await started(size=4096)
    await backup(world)
    await world.command(type="stop-protection", item_id=ITEM, delete_data=True)
    await world.settle()
    world.ports.clock.advance(15 * 86_400)
    await tick(world.ports)
    await request_expiry(world.ports, ITEM, RequestId("asked"), confirm=False)
    await world.settle()
    assert await world.item() is None
    row = await world.ports.ledger.get(ITEM, Job, request_job(ITEM, "expire", RequestId("asked")))
    assert row is not None
    assert row.record.status is Status.COMPLETED


async def test_a_disk_that_was_only_cleared_is_restored_though_no_diff_tells() -> None:
    """Fault 2 of a restore in place: where nothing seems to differ, it is audited all the same."""
    world = await started(size=65_536)
    world.ports.storage.put(DISK, 0, b"disk" * 128)
    truth = Truth(world)
    await backup(world)
    (point,) = await world.points()
    world.ports.storage.erase(DISK, PageRange(0, 512))
    world.ports.storage.diff_loses = 1
    await world.command(
        type="restore", item_id=ITEM, point=point.id, target={"kind": "original", "confirm": True}
    )
    await world.settle()
    assert content(world, DISK) == truth.at(point)
