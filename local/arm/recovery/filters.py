"""`$filter` as backup clients send it: comparisons joined by `and`."""

import re
from collections.abc import Mapping

from local.arm.recovery.refusals import invalid_input

_CLAUSE = re.compile(r"\s*(\w+)\s+eq\s+'?([^']*?)'?\s*", re.IGNORECASE)
_AND = re.compile(r"\s+and\s+", re.IGNORECASE)


def read_filter(query: Mapping[str, str], known: frozenset[str]) -> dict[str, str]:
    """The values asked for, by property; empty without a filter.

    Raises 400 for a filter that cannot be read or names a property that is not `known`.
    """
    text = query.get("$filter", "")
    wanted: dict[str, str] = {}
    for clause in _AND.split(text) if text.strip() else ():
        match = _CLAUSE.fullmatch(clause)
        if match is None or match[1] not in known:
            raise invalid_input(f"the filter clause '{clause}' is not known")
        wanted[match[1]] = match[2]
    return wanted


def agrees(wanted: Mapping[str, str], values: Mapping[str, str | None]) -> bool:
    """Whether a thing with these values passes; a filter on anything else leaves it alone."""
    return all(
        name not in values or (values[name] or "").casefold() == value.casefold()
        for name, value in wanted.items()
    )
