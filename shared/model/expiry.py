"""What retention remembers of one item between its runs, and how careful it is."""

from dataclasses import dataclass, replace
from datetime import date

from shared.model.ids import JobId


@dataclass(frozen=True, kw_only=True)
class Guard:
    """When a retention plan looks abnormal and waits for a person. Settings, each by
    `VAULTLINE_<NAME>`; the defaults let daily and hourly rotation pass, and the first clean-up
    after an outage of two weeks.
    """

    least_points: int = 2
    """A plan that would leave fewer points is held, unless the policy itself keeps no more. Two:
    not all but the newest goes at once."""
    most_removals_a_day: int = 30
    """More removals of one item in a UTC day are held, unless its schedule makes more in a week."""
    quiet_days: float = 14.0
    """After so long without a new point, what expires may only seem old: the clock may have
    jumped."""


@dataclass(frozen=True, kw_only=True)
class Expiry:
    """`held` says why the last plan waits for a person; empty where it does not. `confirmed` is
    the plan that a person let through; `job` the run that a person asked for and that has not
    ended. `policy` is the one (with its version) whose plan was last carried out."""

    held: str = ""
    confirmed: str = ""
    job: JobId | None = None
    policy: str = ""
    removed_on: date | None = None
    removed: int = 0

    def removed_by(self, today: date) -> int:
        """How many points were removed on that UTC day so far."""
        return self.removed if self.removed_on == today else 0

    def counting(self, today: date) -> "Expiry":
        """With one more removal on that UTC day."""
        return replace(self, removed_on=today, removed=self.removed_by(today) + 1)
