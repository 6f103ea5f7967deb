"""Holds: what somebody says about a point is stored before the command that says it returns."""

from collections.abc import Callable

from shared.decide.decision import Decision
from shared.decide.holds import hold, release
from shared.model.ids import PointId, item_of
from shared.model.ledger import Versioned
from shared.model.point import Point
from shared.ports import Ports
from shared.steps.transact import the, transact


async def hold_point(ports: Ports, point: PointId, reason: str) -> Point:
    """Keeps the point, both tiers, until it is released; repeatable. Raises `NotFound`, or
    `Invalid` where its removal has begun."""
    now = ports.clock.now()
    return await _decide(ports, point, lambda row: hold(row, reason, now))


async def release_point(ports: Ports, point: PointId) -> Point:
    """Leaves the point to its policy again; repeatable. Raises `NotFound`."""
    return await _decide(ports, point, release)


async def _decide(
    ports: Ports, point: PointId, change: Callable[[Versioned[Point]], Decision[Point]]
) -> Point:
    item = item_of(point)

    async def decide() -> Decision[Point]:
        return change(await the(ports, item, Point, point))

    return await transact(ports, item, decide)
