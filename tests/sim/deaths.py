"""Stories that die at every call: each life begins in the turn in which it ends."""

from collections.abc import AsyncIterator
from copy import deepcopy
from typing import TypeVar

from shared.memory import Fault
from tests.sim.world import Crash, World

W = TypeVar("W", bound=World)
B = TypeVar("B")


async def deaths(world: W, beside: B = None, *, applied: bool) -> AsyncIterator[tuple[W, B]]:  # type: ignore[assignment]
    """A life for each call of the ports that is left to do until the world rests: a copy of the
    world, with what belongs to it `beside`, in which the process has died before that call took
    effect, or after (`applied`), and no other fault is to come.

    What comes before the call is not lived again each time: a life is copied from the world as it
    was before the turn with that call. So nothing that the world holds may be a closure over it.
    """
    resting = False
    while not resting:
        before, begun = deepcopy((world, beside)), world.ports.faults.calls.total()
        resting = not await world.turn()
        for skip in range(world.ports.faults.calls.total() - begun):
            yield await _dead(*deepcopy(before), skip, applied)


async def _dead(world: W, beside: B, skip: int, applied: bool) -> tuple[W, B]:
    """The world after a turn that ends at the call after so many."""
    fault = world.ports.faults.plan(Fault(call="*", skip=skip, applied=applied, error=Crash))
    await world.turn()
    assert fault.fired, f"call {skip} of the turn did not come again"
    world.ports.faults.planned.clear()
    return world, beside
