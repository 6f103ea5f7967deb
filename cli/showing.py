"""`show`: one item, job or point; a job's trace as a waterfall."""

from typing import Annotated, Any

import typer

from cli.columns import ITEM, JOB, POINT
from cli.listings import find_view
from cli.output import AsJson, say, show_json, show_one, terminal
from cli.session import Session, run
from cli.spans import read_trace
from cli.waterfall import LEAST_WIDTH, waterfall
from shared.model.errors import Invalid

_COLUMNS = {"item": ITEM, "job": JOB, "point": POINT}


def show(
    context: typer.Context,
    id_: Annotated[str, typer.Argument(metavar="ID", help="An item's, job's or point's id.")],
    trace: Annotated[
        bool, typer.Option("--trace", help="Of a job: what it did when, step by step.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show one item, job or point."""

    async def ask(session: Session) -> None:
        kind, view = await find_view(session.ports, id_)
        if not trace:
            show_one(view, _COLUMNS[kind], as_json=as_json)
        elif kind == "job":
            _show_trace(session, view, as_json=as_json)
        else:
            raise Invalid(f"'{id_}' is {_article(kind)}; only a job has a trace")

    run(context, ask)


def _show_trace(session: Session, job: dict[str, Any], *, as_json: bool) -> None:
    spans = read_trace(session.spans, job["trace_id"]) if session.spans else []
    if as_json:
        show_json({**job, "trace": [span.view() for span in spans]})
        return
    show_one(job, JOB, as_json=False)
    say("")
    lines = waterfall(spans, max(terminal().width, LEAST_WIDTH))
    say("\n".join(lines) if lines else _where_to_look(session, job["trace_id"]))


def _where_to_look(session: Session, trace_id: str) -> str:
    if not trace_id:
        return "No trace was recorded: telemetry was off when the job began."
    if session.spans:
        return f"No span of trace {trace_id} is in {session.spans}."
    return (
        "The app's telemetry does not go to a folder on this machine. In Application Insights:\n"
        f'union requests, dependencies, traces | where operation_Id == "{trace_id}"'
        " | order by timestamp asc"
    )


def _article(kind: str) -> str:
    return f"{'an' if kind[0] in 'aeiou' else 'a'} {kind}"
