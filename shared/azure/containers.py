"""Containers are made when the first blob is put into them."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from azure.core.exceptions import HttpResponseError, ResourceExistsError

from shared.azure.accounts import Place
from shared.azure.errors import error_code

T = TypeVar("T")


async def in_container(place: Place, put: Callable[[], Awaitable[T]]) -> T:
    """What `put` gives; tried again in a new container where there was none. SDK errors pass."""
    try:
        return await put()
    except HttpResponseError as error:
        if error_code(error) != "ContainerNotFound":
            raise
    with suppress(ResourceExistsError):  # somebody else was faster
        await place.container_client().create_container()
    return await put()
