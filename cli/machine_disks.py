"""Which of a machine's disks a person means: by LUN, and `os` for the system's."""

from typing import Annotated, Any

import typer

from shared.model.errors import Invalid

OnlyDisks = Annotated[
    str | None,
    typer.Option("--disks", metavar="LUNS", help="Of a machine: these disks alone, e.g. os,0,1."),
]
WithoutDisks = Annotated[
    str | None,
    typer.Option("--without", metavar="LUNS", help="Of a machine: all disks but these."),
]


def disk_choice(only: str | None, without: str | None) -> dict[str, Any] | None:
    """The choice as commands say it; None for all disks. Raises `Invalid`."""
    if only is not None and without is not None:
        raise Invalid("--disks and --without exclude each other", action="Give one of them.")
    if only is not None:
        return {"include": _luns("--disks", only)}
    return {"exclude": _luns("--without", without)} if without is not None else None


def _luns(option: str, text: str) -> list[str | int]:
    words = [word.strip().lower() for word in text.split(",")]
    if not all(word == "os" or (word.isascii() and word.isdecimal()) for word in words):
        raise Invalid(
            f"{option} '{text[:60]}' is no list of LUNs",
            action="Write os for the system's disk and numbers for the others: os,0,1.",
        )
    return [word if word == "os" else int(word) for word in words]
