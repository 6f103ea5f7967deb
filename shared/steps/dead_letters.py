"""Looking after dead letters: people see them, send them again, or throw them away."""

from collections.abc import AsyncIterator, Sequence

from shared.decide.redrive import redriven
from shared.model.dead_letter import DeadLetter
from shared.model.errors import Invalid, NotFound
from shared.model.messages import QUEUES
from shared.ports import Ports


async def dead_letters(ports: Ports, queue: str | None = None) -> AsyncIterator[DeadLetter]:
    """Those of one queue, or of all; oldest first in each."""
    for each in [queue] if queue else QUEUES:
        async for letter in ports.dead_letters.peek(each):
            yield letter


async def dead_letter(ports: Ports, id_: str) -> DeadLetter:
    """The one with that id. Raises `NotFound`, `Invalid` where that is no such id."""
    queue, _, number = id_.partition(":")
    if queue not in QUEUES or not number.isdecimal():
        raise Invalid(
            f"'{id_[:60]}' is no dead letter's id: it looks like {QUEUES[0]}:17",
            action="`vaultline dead-letters list` shows them.",
        )
    async for letter in ports.dead_letters.peek(queue):
        if letter.id == id_:
            return letter
    raise NotFound(
        f"there is no dead letter '{id_}'", action="`vaultline dead-letters list` shows them."
    )


async def redrive(ports: Ports, letters: Sequence[DeadLetter]) -> None:
    """Sends each once more, then removes it. A death in between sends it twice when this is
    repeated: under the same MessageId, and consumers bear repeats (invariant 6)."""
    await ports.bus.send([redriven(letter) for letter in letters])
    await ports.dead_letters.remove(letters)
