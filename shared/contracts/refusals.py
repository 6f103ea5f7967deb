"""Validation errors in words for the person who wrote the document."""

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from shared.model.errors import Invalid

MOST_REASONS = 5
NAME_CHARACTERS = 60

_PLAIN = {
    "missing": "is missing",
    "extra_forbidden": "is not a field here",
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "list_type": "must be a list",
    "dict_type": "must be an object with fields",
    "model_type": "must be an object with fields",
    "model_attributes_type": "must be an object with fields",
    "literal_error": "must be {expected}",
    "too_short": "must have at least {min_length} entry",
    "too_long": "must have at most {max_length} entries",
    "union_tag_not_found": "must say its {discriminator}",
    "union_tag_invalid": "must have as {discriminator} one of {expected_tags}",
    "date_type": "must be a date such as 2026-12-31",
    "date_parsing": "must be a date such as 2026-12-31",
    "timezone_aware": "must say its zone: end it with Z or an offset such as +01:00",
}
_UNIONS = {"schedule", "target", "point"}
"""Fields of several shapes: after theirs, pydantic's path names the shape, which nobody wrote."""


def refused(error: ValidationError, what: str, model: type[BaseModel]) -> Invalid:
    """The wrong fields of `what` and why, without their values (they may be secrets).

    Where an unknown field was given at the top, the known ones of `model` are listed.
    """
    rows = error.errors(include_url=False, include_input=False)
    told = [_reason(row) for row in rows[:MOST_REASONS]]
    if len(rows) > MOST_REASONS:
        told.append(f"and {len(rows) - MOST_REASONS} more")
    if any(row["type"] == "extra_forbidden" and len(row["loc"]) == 1 for row in rows):
        told.append(f"the fields are {', '.join(model.model_fields)}")
    return Invalid(f"{what}: {'; '.join(told)}")


def _reason(row: ErrorDetails) -> str:
    plain = _PLAIN.get(row["type"])
    reason = plain.format(**row.get("ctx", {})) if plain else row["msg"]
    path = _path(row["loc"])
    return f"{path} {reason}" if path else reason


def _path(loc: tuple[int | str, ...]) -> str:
    """Where the wrong value stands in the document, e.g. `schedule.at.0`."""
    written = [
        part for before, part in zip((None, *loc), loc, strict=False) if before not in _UNIONS
    ]
    return ".".join(str(part)[:NAME_CHARACTERS] for part in written)
