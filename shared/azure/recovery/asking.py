"""Asking Recovery Services through the SDK, and reading the answers as they came."""

from collections.abc import AsyncIterator, Callable, Mapping
from typing import Any, TypeVar

from shared.azure.errors import is_cut_off
from shared.azure.recovery.naming import operation_name
from shared.azure.recovery.refusals import vault_translated
from shared.model.errors import Transient

Json = Mapping[str, Any]
T = TypeVar("T")

ONCE: Mapping[str, Any] = {"retry_total": 0}
"""For requests that are not repeated by themselves: a second restore is not the first one."""


def body_in(answer: Any, *_: Any) -> Any:
    """For the SDK's `cls`: the body, which it has no classes for."""
    return answer.http_response.json()


def status_in(answer: Any, *_: Any) -> int:
    """For the SDK's `cls`: the status alone."""
    return int(answer.http_response.status_code)


def operation_in(answer: Any, *_: Any) -> str:
    """For the SDK's `cls`: the name of what was begun."""
    return begun(answer.http_response)


def begun(response: Any) -> str:
    """The name of what was begun, which the headers alone tell; empty where nothing was."""
    headers = response.headers
    return operation_name(headers.get("Azure-AsyncOperation") or headers.get("Location") or "")


def bodies_in(models: list[Any]) -> list[Json]:
    """For the SDK's `cls` in listings."""
    return [model.as_dict() for model in models]


async def pages(listing: Any, subject: str, read: Callable[[Json], T]) -> AsyncIterator[list[T]]:
    """A listing's pages, read. Raises `Transient` where it goes in circles or came malformed."""
    source, marker = listing.by_page(), None
    while True:
        try:
            with vault_translated(subject):
                page = [body async for body in await anext(source)]
        except StopAsyncIteration:
            return
        except (ValueError, RuntimeError) as error:
            if not is_cut_off(error):
                raise
            raise Transient(f"{subject}: the listing came malformed", code="Malformed") from None
        yield [read(body) for body in page]
        following = source.continuation_token
        if following and following == marker:
            raise Transient(f"{subject}: the listing goes in circles", code="ListingLoop")
        marker = following
