"""`dead-letters list | show | redrive | discard`: messages that no function could serve."""

import json
from typing import Annotated, Any

import typer

from cli.columns import DEAD_LETTER, DEAD_LETTERS
from cli.output import AsJson, say, show_json, show_list, show_one, utc
from cli.session import Session, run
from shared.model.dead_letter import DeadLetter
from shared.model.errors import Invalid
from shared.model.messages import QUEUES
from shared.steps.dead_letters import dead_letter, dead_letters, redrive

letters = typer.Typer(no_args_is_help=True, help="Messages that no function could serve.")

LetterArgument = Annotated[str, typer.Argument(metavar="ID", help="A dead letter's id.")]
REDRIVE_AT_ONCE = 100


@letters.command("list")
def list_(
    context: typer.Context,
    queue: Annotated[
        str | None, typer.Option("--queue", help="Of that queue; of all if left.")
    ] = None,
    limit: Annotated[
        int, typer.Option("--limit", min=1, max=10_000, help="How many, at most.")
    ] = 100,
    as_json: AsJson = False,
) -> None:
    """List dead letters, oldest first in each queue."""
    if queue is not None and queue not in QUEUES:
        raise Invalid(f"there is no queue '{queue[:40]}'", action=f"Queues: {', '.join(QUEUES)}.")

    async def ask(session: Session) -> None:
        views: list[dict[str, Any]] = []
        async for letter in dead_letters(session.ports, queue):
            views.append(letter_view(letter))
            if len(views) == limit:
                break
        show_list(views, DEAD_LETTERS, as_json=as_json, empty="There is no dead letter.")

    run(context, ask)


@letters.command("show")
def show(context: typer.Context, id_: LetterArgument, as_json: AsJson = False) -> None:
    """Show one dead letter: what it asks for, and why nobody could serve it."""

    async def ask(session: Session) -> None:
        letter = await dead_letter(session.ports, id_)
        show_one({**letter_view(letter), "body": letter.body}, DEAD_LETTER, as_json=as_json)

    run(context, ask)


@letters.command("redrive")
def redrive_(
    context: typer.Context,
    id_: Annotated[str | None, typer.Argument(metavar="[ID]", help="A dead letter's id.")] = None,
    every: Annotated[bool, typer.Option("--all", help="All that there are now.")] = False,
    as_json: AsJson = False,
) -> None:
    """Send a dead letter once more, once what was wrong is put right."""
    if (id_ is None) is not every:
        raise Invalid(
            "give either an ID or --all", action="`vaultline dead-letters list` shows the ids."
        )

    async def ask(session: Session) -> None:
        ports = session.ports
        if id_ is not None:
            chosen = [await dead_letter(ports, id_)]
        else:
            chosen = [letter async for letter in dead_letters(ports)]
        for first in range(0, len(chosen), REDRIVE_AT_ONCE):
            await redrive(ports, chosen[first : first + REDRIVE_AT_ONCE])
        _tell("redriven", chosen, as_json=as_json)

    run(context, ask)


@letters.command("discard")
def discard(context: typer.Context, id_: LetterArgument, as_json: AsJson = False) -> None:
    """Throw a dead letter away."""

    async def ask(session: Session) -> None:
        letter = await dead_letter(session.ports, id_)
        await session.ports.dead_letters.remove([letter])
        _tell("discarded", [letter], as_json=as_json)

    run(context, ask)


def letter_view(letter: DeadLetter) -> dict[str, Any]:
    """The public shape of a dead letter."""
    fields = _fields(letter.body)
    return {
        "id": letter.id,
        "queue": letter.queue,
        "message_id": letter.message_id,
        "item_id": fields.get("item_id"),
        "job_id": fields.get("job_id"),
        "at": utc(letter.at) if letter.at else None,
        "delivery_count": letter.delivery_count,
        "code": letter.code,
        "reason": letter.reason,
    }


def _fields(body: str) -> dict[str, Any]:
    """What the body says, where it is an object."""
    try:
        fields: Any = json.loads(body)
    except ValueError:
        return {}
    return fields if isinstance(fields, dict) else {}


def _tell(done: str, chosen: list[DeadLetter], *, as_json: bool) -> None:
    ids = [letter.id for letter in chosen]
    if as_json:
        show_json({done: ids})
    else:
        say("\n".join(f"{id_} {done}" for id_ in ids) or "There is no dead letter.")
