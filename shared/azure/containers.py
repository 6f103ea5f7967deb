"""Containers: made for a vault at once, and where a blob finds none."""

from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import TypeVar

from azure.core.exceptions import HttpResponseError, ResourceExistsError

from shared.azure.accounts import Accounts, Place
from shared.azure.errors import error_code, translated
from shared.model.errors import Invalid

T = TypeVar("T")


class AzureContainers:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def make(self, url: str) -> None:
        account, container, prefix = self._accounts.scope(url)
        if not container or prefix:
            raise Invalid(f"{url} does not name a container")
        with translated(url), suppress(ResourceExistsError):
            await account.service.create_container(container)


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
