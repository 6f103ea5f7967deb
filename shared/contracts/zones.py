"""Time zones by their IANA names."""

from difflib import get_close_matches
from functools import cache
from typing import Annotated
from zoneinfo import available_timezones

from shared.contracts.fields import checked
from shared.model.errors import Invalid


@cache
def _known() -> frozenset[str]:
    # Reading the database's index takes long enough to do it once.
    return frozenset(available_timezones())


def time_zone(text: str) -> str:
    """An IANA name as it is written there. Raises `Invalid` with the names that come near."""
    if text in _known():
        return text
    same = [name for name in _known() if name.lower() == text.lower()]
    near = same or get_close_matches(text, sorted(_known()), n=3)
    meant = f"did you mean {' or '.join(near)}?" if near else "examples are Europe/Berlin and UTC"
    raise Invalid(f"'{text[:60]}' is not a time zone of the IANA database; {meant}")


TimeZoneField = Annotated[str, checked(time_zone)]
