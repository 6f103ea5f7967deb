"""Scripted faults: which call fails, whether before or after its effect, and proof that it did.

Calls are named `port.method`, e.g. `ledger.commit`, `images.copy`, `bus.send`.
"""

from collections import Counter
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from fnmatch import fnmatchcase
from random import Random

from shared.model.errors import Transient


def lost() -> Exception:
    """What a caller sees of a failed connection."""
    return Transient("the connection was lost")


def busy(retry_after: float | None = None) -> Callable[[], Exception]:
    """A service that has too much to do (503), and may say how many seconds to wait (fault 40)."""
    return lambda: Transient(
        "the service is busy", code="ServerBusy", busy=True, retry_after=retry_after
    )


@dataclass
class Fault:
    """Fails the `times` calls matching `call` (a glob) that follow the first `skip`; of them a
    `share` only, at random by `dice`, where it is less than 1.

    With `applied`, the call takes effect and only its answer is lost.
    """

    call: str
    times: int = 1
    skip: int = 0
    applied: bool = False
    error: Callable[[], BaseException] = lost
    share: float = 1.0
    dice: Random = field(default_factory=lambda: Random(0))  # noqa: S311
    fired: int = 0

    def strikes(self, call: str) -> bool:
        """Whether this call is one to fail; counts it."""
        if self.fired >= self.times or not fnmatchcase(call, self.call):
            return False
        if self.skip:
            self.skip -= 1
            return False
        if self.share < 1 and self.dice.random() >= self.share:
            return False
        self.fired += 1
        return True


@dataclass
class Faults:
    """The script of one run. `calls` counts every call made, failed ones too.

    `before` is awaited ahead of every call with its name: a simulation interleaves tasks there,
    or raises.
    """

    planned: list[Fault] = field(default_factory=list)
    calls: Counter[str] = field(default_factory=Counter)
    before: Callable[[str], Awaitable[None]] | None = None

    def plan(self, fault: Fault) -> Fault:
        self.planned.append(fault)
        return fault

    def unfired(self) -> list[Fault]:
        """Those that did not happen as often as planned: a test proves this empty."""
        return [fault for fault in self.planned if fault.fired < fault.times]

    def around(self, call: str) -> "Around":
        """Runs one call under the script: `async with`."""
        return Around(self, call)


class Around:
    """One call of a port. A class, as there are millions of them: a generator takes thrice as
    long."""

    __slots__ = ("_call", "_fault", "_faults")

    def __init__(self, faults: Faults, call: str) -> None:
        self._faults = faults
        self._call = call
        self._fault: Fault | None = None

    async def __aenter__(self) -> None:
        faults, call = self._faults, self._call
        faults.calls[call] += 1
        if faults.before is not None:
            await faults.before(call)
        self._fault = next((fault for fault in faults.planned if fault.strikes(call)), None)
        if self._fault is not None and not self._fault.applied:
            raise self._fault.error()

    async def __aexit__(self, kind: type[BaseException] | None, *_: object) -> None:
        if self._fault is not None and kind is None:
            raise self._fault.error()
