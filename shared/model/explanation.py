"""What an error code means, and what to do about it."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Explanation:
    """A known code in words. `number` is the code's other form, in jobs of Recovery Services
    vaults and in the extension's status; None where there is none."""

    code: str
    meaning: str
    action: str
    number: int | None = None
