"""How the service writes times, durations and sizes: none of them as Compute does."""

from datetime import UTC, datetime, timedelta

YEAR_ONE = "0001-01-01T00:00:00"
"""What has not happened yet in operations and tasks: .NET's smallest time, without a zone."""

NEVER_BACKED_UP = "2001-01-01T00:00:00Z"
"""The last backup of an item that has none."""


def _fraction(microseconds: int) -> str:
    digits = f"{microseconds:06d}".rstrip("0")
    return f".{digits}" if digits else ""


def utc(moment: datetime) -> str:
    """`2024-05-13T10:28:32.761067Z`: trailing zeros dropped."""
    at = moment.astimezone(UTC)
    return f"{at:%Y-%m-%dT%H:%M:%S}{_fraction(at.microsecond)}Z"


def without_zone(moment: datetime) -> str:
    """The expiry of a recovery point: UTC, and not saying so."""
    return utc(moment).removesuffix("Z")


def american(moment: datetime) -> str:
    """`6/12/2024 12:00:00 AM`: times inside a job's property bag."""
    at = moment.astimezone(UTC)
    hour = at.hour % 12 or 12
    return f"{at.month}/{at.day}/{at.year} {hour}:{at:%M:%S} {'AM' if at.hour < 12 else 'PM'}"


def iso_duration(length: timedelta) -> str:
    """`PT1H41.2564655S`: parts that are zero are left out; nothing at all is `PT0S`."""
    minutes, seconds = divmod(max(length, timedelta(0)), timedelta(minutes=1))
    hours, minutes = divmod(minutes, 60)
    text = f"{hours}H" if hours else ""
    text += f"{minutes}M" if minutes else ""
    if seconds:
        text += f"{seconds.seconds}{_fraction(seconds.microseconds)}S"
    return f"PT{text or '0S'}"


def timespan(length: timedelta) -> str:
    """`13.23:59:42.86`: .NET's own format, where other durations are ISO 8601."""
    hours, rest = divmod(length.seconds, 3600)
    minutes, seconds = divmod(rest, 60)
    clock = f"{hours:02d}:{minutes:02d}:{seconds:02d}{_fraction(length.microseconds)}"
    return f"{length.days}.{clock}" if length.days else clock


def gigabytes(number: float) -> str:
    """`63.5 GBs`: two digits at most."""
    return f"{number:.2f}".rstrip("0").rstrip(".") + " GBs"


def parse_time(text: str) -> datetime:
    """Reads a request's time; one without a zone is UTC. Raises ValueError."""
    at = datetime.fromisoformat(text)
    return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
