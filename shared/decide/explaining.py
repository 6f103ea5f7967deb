"""Errors explained: a code that a person has before them, in words, with what to do about it.

Codes are Azure's own (`shared.decide.known_errors`), those of the VMSnapshot extension
(`shared.decide.extension_errors`), and ours, which their classes explain.
"""

import difflib
import inspect
from collections.abc import Iterator
from functools import cache

from shared.decide.extension_errors import EXTENSION_ERRORS
from shared.decide.known_errors import KNOWN_ERRORS
from shared.model.errors import ErrorDetail, NotFound, VaultlineError
from shared.model.explanation import Explanation

UNKNOWN_ACTION = (
    "Do the work again. If it fails in the same way, look for the code in Azure's documentation."
)


def known(code: str) -> Explanation | None:
    """By name, in whatever case, or by the number that Azure's vaults give it."""
    return _index().get(code.strip().casefold())


def explain(code: str) -> Explanation:
    """Raises `NotFound`, with the codes that look like it."""
    found = known(code)
    if found is None:
        raise NotFound(f"'{code.strip()[:80]}' is not a code that we know", action=_alike(code))
    return found


def explained(code: str, message: str, recommended: str = "") -> ErrorDetail:
    """An error that Azure reports, as a job shows it: its own message, our action where we know
    the code, or else what Azure recommends. A number as code becomes the code's name."""
    found = known(code)
    if found is None:
        return ErrorDetail(
            code=code, message=message or code, recommended_action=recommended or UNKNOWN_ACTION
        )
    return ErrorDetail(
        code=found.code, message=message or found.meaning, recommended_action=found.action
    )


def explanations() -> tuple[Explanation, ...]:
    """All of them, by code."""
    return tuple(sorted(set(_index().values()), key=lambda each: each.code.casefold()))


@cache
def _index() -> dict[str, Explanation]:
    """By name and by number; the first of a name stands. The extension's numbers are small ones
    that mean nothing without it, so they are not looked up here."""
    index: dict[str, Explanation] = {}
    for each in (*KNOWN_ERRORS, *EXTENSION_ERRORS, *_ours(VaultlineError)):
        index.setdefault(each.code.casefold(), each)
    numbered = {str(each.number): each for each in KNOWN_ERRORS if each.number is not None}
    return index | numbered


def _ours(of: type[VaultlineError]) -> Iterator[Explanation]:
    """The errors of `shared.model.errors`, most general ones first."""
    for kind in of.__subclasses__():
        told = inspect.cleandoc(kind.__doc__ or kind.__name__).partition("\n\n")[0]
        yield Explanation(code=kind.code, meaning=" ".join(told.split()), action=kind.action)
        yield from _ours(kind)


def _alike(code: str) -> str:
    names = {each.code.casefold(): each.code for each in explanations()}
    close = difflib.get_close_matches(code.strip().casefold(), names, n=3)
    if not close:
        return "`vaultline explain` without a code lists those that we know."
    return f"Is it {' or '.join(names[each] for each in close)}?"
