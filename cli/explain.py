"""`explain`: error codes in words."""

from typing import Annotated, Any

import typer

from cli.columns import EXPLAINED, EXPLAINED_CODES
from cli.output import AsJson, show_list, show_one
from shared.decide.explaining import explain as explanation_of
from shared.decide.explaining import explanations
from shared.model.explanation import Explanation


def explain(
    code: Annotated[
        str | None,
        typer.Argument(metavar="[CODE]", help="A code, or its number; all of them if left."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say what an error code means, and what to do about it."""
    if code is None:
        views = [_view(each) for each in explanations()]
        show_list(views, EXPLAINED_CODES, as_json=as_json, empty="")
        return
    show_one(_view(explanation_of(code)), EXPLAINED, as_json=as_json)


def _view(found: Explanation) -> dict[str, Any]:
    return {
        "code": found.code,
        "number": found.number,
        "meaning": found.meaning,
        "recommended_action": found.action,
    }
