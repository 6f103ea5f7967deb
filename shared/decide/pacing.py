"""How many requests one storage account is given at a time, learnt from what it answers.

Additive increase, multiplicative decrease: a window grows by one request a round trip, and shrinks
by a fifth where the service says that it has too much to do. What TCP learnt holds here as well: of
the refusals of one round trip only the first counts, since all of them are about the same moment.

One thing is different. Of a service that refuses a few requests at random, whoever sends fewer
gets fewer done; a refusal says something about our pace only where refusals are many. So the
window shrinks where their share, smoothed, is more than `TOLERATED`, or where the service says how
long to wait: then it means us, and everybody waits. Numbers of seconds are by one clock.
"""

from dataclasses import dataclass, replace

LOWERED_TO = 0.8
"""Of the window, by one decrease."""
TOLERATED = 0.4
"""The share of refusals up to which the window stays as it is: they cost little, are repeated at
once, and cannot be told from chance."""
MEMORY = 48
"""About so many answers make the smoothed share."""
FIRST_REPEAT_SECONDS = 0.05
LONGEST_REPEAT_SECONDS = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """`size` requests may be under way, up to `most`, none before `open_at`. `refusals` is the
    smoothed share of answers that were refusals; those to requests sent before `lowered_at` are
    old news."""

    size: float
    most: int
    refusals: float = 0.0
    lowered_at: float = float("-inf")
    open_at: float = float("-inf")

    def has_place(self, under_way: int) -> bool:
        """Whether one more request may be sent beside those under way; one always may."""
        return under_way < int(self.size)

    def served(self) -> "Window":
        """After an answer that was no refusal."""
        if self.size >= self.most and not self.refusals:
            return self
        share = self.refusals * (1 - 1 / MEMORY)
        grown = self.size if share > TOLERATED else min(self.most, self.size + 1 / self.size)
        return replace(self, size=grown, refusals=share if share > _NONE else 0.0)

    def refused(
        self, *, sent_at: float, now: float, under_way: int, wait_seconds: float | None = None
    ) -> "Window":
        """After a refusal of a request sent at `sent_at`, when `under_way` were, itself included.
        `wait_seconds` is how long the service asked to wait, where it did."""
        heard = replace(self, refusals=self.refusals + (1 - self.refusals) / MEMORY)
        if wait_seconds is not None:
            heard = replace(heard, open_at=max(self.open_at, now + wait_seconds))
        meant = wait_seconds is not None or heard.refusals > TOLERATED
        if not meant or sent_at < self.lowered_at:
            return heard
        return replace(heard, size=_lowered(self.size, under_way), lowered_at=now)


_NONE = 0.001
"""A share of refusals that small is none: then nothing has to be counted any more."""


def opened(most: int) -> Window:
    """A window that nothing is known about yet: wide open, as a healthy service serves all."""
    return Window(size=float(most), most=most)


def _lowered(size: float, under_way: int) -> float:
    """A fifth less than was really under way: a window that nobody fills says nothing."""
    return max(1.0, LOWERED_TO * min(size, under_way))


def repeat_seconds(repeat: int, luck: float) -> float:
    """How long a request waits before its n-th repeat, from 1 on: not at all before the first,
    then doubling and bounded; `luck` in [0, 1) spreads those that failed together."""
    if repeat == 1:
        return 0.0
    longest = min(LONGEST_REPEAT_SECONDS, FIRST_REPEAT_SECONDS * 2.0 ** min(repeat - 2, 16))
    return longest * (1 + luck) / 2
