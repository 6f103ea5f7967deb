"""`policy preview`: what a policy would do, before it is in force."""

from datetime import date, datetime
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.calendars import LEGEND, draw
from cli.columns import PREVIEWED
from cli.documents import FileArgument, document
from cli.losses import show_losses
from cli.output import AsJson, say, show_json, show_list, terminal, utc
from shared.contracts.policy import parse_policy
from shared.decide.preview import PreviewedDay, PreviewedPoint, preview
from shared.decide.schedule import ClockChange, Clocks
from shared.model.errors import Invalid
from shared.model.policy import Policy

MOST_BACKUPS = 20_000
"""Of one preview; what it lists grows with their square."""


def preview_policy(
    context: typer.Context,
    file: FileArgument,
    first: Annotated[
        str | None, typer.Option("--from", metavar="DATE", help="The first local day.")
    ] = None,
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days.")] = 7,
    on: Annotated[
        str | None,
        typer.Option("--on", metavar="DATE", help="Whose points to show; the last day if left."),
    ] = None,
    vault: Annotated[
        str | None,
        typer.Option("--vault", help="Instead: what this Recovery Services vault cannot do of it."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Show which points would exist on each day and why, and what the clocks do to the schedule."""
    policy = parse_policy(document(file))
    if vault is not None:
        show_losses(context, policy, vault, as_json=as_json)
        return
    if first is None:
        raise Invalid("Missing option '--from'.", action="Or say --vault.")
    start, chosen = _date("--from", first), _date("--on", on) if on else None
    _check(policy, start, days, chosen)
    previewed = list(preview(policy, start, days))
    shown = next((each for each in previewed if each.day == chosen), previewed[-1])
    if as_json:
        show_json(_view(policy, previewed))
    else:
        _show(policy, previewed, shown)


def _show(policy: Policy, days: list[PreviewedDay], on: PreviewedDay) -> None:
    """The calendar, what the clocks do, and the points that are there when `on` ends."""
    say("\n".join(draw(days, on, terminal().width)))
    say(LEGEND)
    for change in (change for each in days for change in each.clock_changes):
        say(_told(change, policy))
    views = [_standing(policy, point, on.end) for point in on.points]
    say(f"\nWhen {on.day:%a %Y-%m-%d} ends in {policy.time_zone}, {len(views)} points exist:")
    show_list(views, PREVIEWED, as_json=False, empty="None.")


def _view(policy: Policy, days: list[PreviewedDay]) -> dict[str, Any]:
    return {
        "policy": policy.name,
        "time_zone": policy.time_zone,
        "days": [_day_view(policy, each) for each in days],
    }


def _day_view(policy: Policy, day: PreviewedDay) -> dict[str, Any]:
    return {
        "day": day.day.isoformat(),
        "ends_at": utc(day.end),
        "backups": [_made(policy, point) for point in day.made],
        "points": [
            {"slot": utc(point.slot), "kept_by": list(point.kept_by(day.end))}
            for point in day.points
        ],
        "clock_changes": [_change_view(change, policy) for change in day.clock_changes],
    }


def _made(policy: Policy, point: PreviewedPoint) -> dict[str, Any]:
    return {
        "slot": utc(point.slot),
        "local": _local(policy, point.slot),
        "expires_at": utc(point.expires_at) if point.expires_at else None,
        "removed_at": utc(point.removed_at) if point.removed_at else None,
        "reasons": [
            {"rule": reason.rule, "until": utc(reason.until) if reason.until else None}
            for reason in point.reasons
        ],
    }


def _standing(policy: Policy, point: PreviewedPoint, at: datetime) -> dict[str, Any]:
    return {**_made(policy, point), "kept_by": point.kept_by(at)}


def _change_view(change: ClockChange, policy: Policy) -> dict[str, Any]:
    return {
        "at": f"{change.at:%H:%M}",
        "clocks": change.clocks.value,
        "slot": utc(change.slot),
        "local": _local(policy, change.slot),
        "merged": change.merged,
        "told": _told(change, policy),
    }


def _told(change: ClockChange, policy: Policy) -> str:
    """A clock change in words."""
    runs = f"the backup runs at {_local(policy, change.slot)[-5:]} ({change.slot:%H:%M}Z)"
    if change.clocks is Clocks.REPEATED:
        happens = f"comes twice; {runs}, the first time, and not again"
    else:
        happens = f"is skipped by the clocks; {runs}"
    merged = ", as one with another" if change.merged else ""
    return f"{change.day:%a %Y-%m-%d}: {change.at:%H:%M} {happens}{merged}."


def _local(policy: Policy, slot: datetime) -> str:
    return slot.astimezone(ZoneInfo(policy.time_zone)).strftime("%a %Y-%m-%d %H:%M")


def _date(option: str, text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid(f"{option} must be a date such as 2026-12-31") from None


def _check(policy: Policy, first: date, days: int, chosen: date | None) -> None:
    """Raises `Invalid` for a period that cannot be previewed."""
    if not 1970 <= first.year <= 9000:
        raise Invalid("--from must be a date from 1970-01-01 to 9000-12-31")
    backups = days * len(policy.schedule.at)
    if backups > MOST_BACKUPS:
        fewer = MOST_BACKUPS // len(policy.schedule.at)
        raise Invalid(
            f"a preview shows at most {MOST_BACKUPS} backups, and {days} days have {backups}",
            action=f"Ask for {fewer} days or fewer with --days.",
        )
    if chosen and not 0 <= (chosen - first).days < days:
        raise Invalid("--on must be one of the days that are previewed")
