"""`expire`: what retention would remove now, and why; and to have it done."""

from typing import Annotated, Any
from uuid import uuid4

import typer

from cli.columns import DECISIONS
from cli.failures import DONE
from cli.output import AsJson, say, show_list
from cli.protection import existing
from cli.requests import DAY_SECONDS, Asked, Request, Timeout, Wait, conclude
from cli.session import Session, run
from shared.decide.retention import RetentionDecision, RetentionPlan
from shared.model.errors import Invalid
from shared.model.ids import ItemId, RequestId, item_id
from shared.model.job import Operation
from shared.steps.expiry import preview_expiry, request_expiry
from shared.steps.views import point_view


def expire(
    context: typer.Context,
    item: Annotated[
        str | None, typer.Argument(metavar="[ITEM]", help="For a dry run: of all items if left.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be done, and why.")
    ] = False,
    confirm: Annotated[
        bool, typer.Option("--confirm", help="Let a plan through that is held as abnormal.")
    ] = False,
    wait: Wait = False,
    timeout: Timeout = DAY_SECONDS,
    as_json: AsJson = False,
) -> int:
    """Clean an item's points up by its policy, now; or say what that would remove, and why."""
    if dry_run and confirm:
        raise Invalid("--dry-run and --confirm exclude each other", action="Choose one of them.")
    if not dry_run and item is None:
        raise Invalid(
            "points expire by themselves, after every backup; a clean-up is asked for by item",
            action="Name the ITEM, or add --dry-run.",
        )

    async def ask(session: Session) -> int:
        if dry_run:
            await _show_plans(session, item, as_json=as_json)
            return DONE
        request = await _post(session, item_id(str(item)), confirm=confirm)
        return await conclude(session, request, Asked(wait, timeout, as_json))

    return run(context, ask)


async def _post(session: Session, item: ItemId, *, confirm: bool) -> Request:
    request_id = RequestId(uuid4().hex)
    job = await request_expiry(session.ports, item, request_id, confirm=confirm)
    return Request(item_id=item, job_id=job, operation=Operation.EXPIRE, request_id=request_id)


async def _show_plans(session: Session, item: str | None, *, as_json: bool) -> None:
    plans = {id_: await preview_expiry(session.ports, id_) for id_ in await _chosen(session, item)}
    views = [
        _decision_view(id_, plan, each) for id_, plan in plans.items() for each in plan.decisions
    ]
    show_list(views, DECISIONS, as_json=as_json, empty="There is no recovery point yet.")
    if not as_json:
        for id_, plan in plans.items():
            if plan.held:
                say(f"\n{id_} is held: {plan.held}. `vaultline expire {id_} --confirm` allows it.")


async def _chosen(session: Session, item: str | None) -> list[ItemId]:
    if item:
        return [(await existing(session, item)).id]
    return sorted([id_ async for id_ in session.ports.catalog.items()])


def _decision_view(
    item: ItemId, plan: RetentionPlan, decision: RetentionDecision
) -> dict[str, Any]:
    return {
        "item_id": item,
        "point_id": decision.point.id,
        "created_at": point_view(decision.point)["created_at"],
        "decision": decision.mark.value,
        "why": decision.why,
        "release_snapshot": decision.release,
        "snapshot": decision.release_why,
        "held": plan.held or None,
    }
