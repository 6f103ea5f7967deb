"""Documents that people hand to a command."""

import sys
from pathlib import Path
from typing import Annotated

import typer

from shared.model.errors import Invalid

FileArgument = Annotated[
    str, typer.Argument(metavar="FILE", help="A document in YAML or JSON; - for standard input.")
]


def document(file: str) -> str:
    """Its text. Raises `Invalid` where it cannot be read."""
    if file == "-":
        return sys.stdin.read()
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8"
        raise Invalid(f"cannot read {file}: {reason}") from None
