"""`policy apply`, `list`, `show` and `preview`."""

import sys
from dataclasses import replace
from datetime import date, datetime, time, timedelta
from itertools import islice
from pathlib import Path
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer

from cli.columns import POLICIES, POLICY, SLOTS
from cli.output import AsJson, show_list, show_one, utc
from cli.session import Session, run
from shared.contracts.policy import parse_policy
from shared.decide.retention import expires_at, reasons_for
from shared.decide.schedule import slots_between
from shared.model.errors import Invalid, NotFound
from shared.model.ids import PolicyName
from shared.model.policy import Policy
from shared.steps.policies import all_policies

PREVIEW_SLOTS = 1000

policies = typer.Typer(no_args_is_help=True, help="Policies: when to back up, how long to keep.")

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A document in YAML or JSON; - for standard input.")
]


@policies.command("apply")
def apply(context: typer.Context, file: FileArgument, as_json: AsJson = False) -> None:
    """Put a policy document into force. Applying it again changes nothing."""
    policy = parse_policy(_text(file))

    async def ask(session: Session) -> None:
        applied, change = await _put(session, policy)
        show_one({**_view(applied), "change": change}, POLICY, as_json=as_json)

    run(context, ask)


@policies.command("list")
def list_(context: typer.Context, as_json: AsJson = False) -> None:
    """List the policies."""

    async def ask(session: Session) -> None:
        views = [_view(policy) for policy in await all_policies(session.ports)]
        show_list(views, POLICIES, as_json=as_json, empty="There is no policy yet.")

    run(context, ask)


@policies.command("show")
def show(
    context: typer.Context,
    policy: Annotated[str, typer.Argument(metavar="NAME", help="The policy's name.")],
    as_json: AsJson = False,
) -> None:
    """Show a policy."""

    async def ask(session: Session) -> None:
        found = await session.ports.catalog.policy(PolicyName(policy))
        show_one(_view(found), POLICY, as_json=as_json)

    run(context, ask)


@policies.command("preview")
def preview(
    file: FileArgument,
    start: Annotated[str, typer.Option("--from", metavar="DATE", help="The first local day.")],
    days: Annotated[int, typer.Option("--days", min=1, max=3660, help="How many days.")] = 7,
    as_json: AsJson = False,
) -> None:
    """Show when a policy would back up, and until when each point would be kept."""
    policy = parse_policy(_text(file))
    slots = slots_between(policy.schedule, policy.time_zone, *_period(policy, _day(start), days))
    views = [_slot_view(policy, slot) for slot in islice(slots, PREVIEW_SLOTS)]
    show_list(views, SLOTS, as_json=as_json, empty="No backup is scheduled in these days.")


async def _put(session: Session, policy: Policy) -> tuple[Policy, str]:
    """The policy as it is in force now, and whether it was created, changed or unchanged."""
    catalog = session.ports.catalog
    try:
        known = await catalog.policy(policy.name)
    except NotFound:
        await catalog.put_policy(policy)
        return policy, "created"
    if replace(policy, version=known.version) == known:
        return known, "unchanged"
    changed = replace(policy, version=known.version + 1)
    await catalog.put_policy(changed)
    return changed, "changed"


def _text(file: str) -> str:
    """The document. Raises `Invalid` where it cannot be read."""
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"cannot read {file}: {reason}") from None


def _day(text: str) -> date:
    try:
        return date.fromisoformat(text)
    except ValueError:
        raise Invalid("--from must be a date such as 2026-12-31") from None


def _period(policy: Policy, first: date, days: int) -> tuple[datetime, datetime]:
    """The local days as `[start, end)`."""
    zone = ZoneInfo(policy.time_zone)
    start, end = (
        datetime.combine(day, time(), zone) for day in (first, first + timedelta(days=days))
    )
    return start, end


def _view(policy: Policy) -> dict[str, Any]:
    return {**policy.document, "version": policy.version}


def _slot_view(policy: Policy, slot: datetime) -> dict[str, Any]:
    reasons = reasons_for(slot, policy)
    end = expires_at(reasons)
    return {
        "slot": utc(slot),
        "local": slot.astimezone(ZoneInfo(policy.time_zone)).strftime("%a %Y-%m-%d %H:%M"),
        "expires_at": utc(end) if end else None,
        "reasons": [
            {"rule": reason.rule, "until": utc(reason.until) if reason.until else None}
            for reason in reasons
        ],
    }
