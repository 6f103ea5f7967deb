"""The time zones of policies: Windows names, as the service knows them."""

from zoneinfo import ZoneInfo

from tzlocal.windows_tz import win_tz


def find_zone(windows_name: str) -> ZoneInfo | None:
    """The zone, by Unicode's table; None for a name that is no Windows name."""
    name = win_tz.get(windows_name)
    return ZoneInfo(name) if name else None
