"""The storage accounts that are ours to use, and whose URL lies in which.

The list is the allow-list against requests forged by URL: a disk, a vault or a plan that lies in
no configured account is refused before any request is made.
"""

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote, urlsplit

from azure.core.credentials_async import AsyncTokenCredential
from azure.storage.blob import UserDelegationKey, generate_blob_sas
from azure.storage.blob.aio import BlobClient, BlobServiceClient, ContainerClient

from shared.azure.errors import scrub, translated
from shared.azure.http import BlobPatience, Pool
from shared.model.disk import Snapshot
from shared.model.errors import Invalid
from shared.ports import Clock, ReadGrant

GRANT = timedelta(hours=1)
SKEW = timedelta(minutes=5)
"""A grant starts so far back, for clocks that are behind ours."""
KEY_LIFE = timedelta(hours=6)
"""How long a user delegation key is asked for; used while it outlives the grant."""


_CONTAINER = re.compile(r"\$?[a-z0-9](?:-?[a-z0-9]){2,62}")


@dataclass(frozen=True)
class Place:
    """Where a blob lies: its account, container and name (decoded)."""

    account: "Account"
    container: str
    name: str

    def client(self, snapshot: str | None = None) -> BlobClient:
        return self.account.service.get_blob_client(self.container, self.name, snapshot=snapshot)

    def container_client(self) -> ContainerClient:
        return self.account.service.get_container_client(self.container)


class Account:
    """One storage account. `key` is empty where the app's identity is used."""

    def __init__(self, service: BlobServiceClient, key: str, clock: Clock) -> None:
        self.service = service
        self.endpoint = service.url.rstrip("/").lower()
        self._key = key
        self._clock = clock
        self._delegation: tuple[UserDelegationKey, datetime] | None = None

    async def grant(self, place: Place, snapshot: Snapshot) -> ReadGrant:
        """Leave to read that one snapshot, and nothing else, for an hour."""
        now = self._clock.now()
        sas = generate_blob_sas(
            account_name=str(self.service.account_name),
            container_name=place.container,
            blob_name=place.name,
            snapshot=snapshot.id,
            account_key=self._key or None,
            user_delegation_key=None if self._key else await self._delegation_key(now),
            permission="r",
            start=now - SKEW,
            expiry=now + GRANT,
        )
        blob = f"{self.endpoint}/{quote(place.container)}/{quote(place.name)}"
        return ReadGrant(f"{blob}?snapshot={quote(snapshot.id)}&{sas}")

    async def _delegation_key(self, now: datetime) -> UserDelegationKey:
        if self._delegation is None or self._delegation[1] < now + GRANT + SKEW:
            until = now + KEY_LIFE
            with translated(f"leave to sign for {self.endpoint}"):
                key = await self.service.get_user_delegation_key(now - SKEW, until)
            self._delegation = key, until
        return self._delegation[0]


class Accounts:
    """Every configured account, found by the URLs of its blobs."""

    def __init__(self, accounts: Iterable[Account]) -> None:
        self._by_root = {account.endpoint: account for account in accounts}

    def place(self, url: str) -> Place:
        """Where the URL points. Raises `Invalid` where it is no plain blob URL, or points into an
        account that is not configured."""
        place = self._split(url)
        if any(part in ("", ".", "..") for part in place.name.split("/")):
            raise Invalid(f"{_plain(url)} does not name a blob: …/container/name is expected")
        return place

    def prefix(self, url: str) -> Place:
        """As `place`, for what blobs' URLs begin with; at least a container and a letter."""
        place = self._split(url)
        if not place.name or any(part in (".", "..") for part in place.name.split("/")):
            raise Invalid(f"{_plain(url)} does not begin a blob's URL")
        return place

    def scope(self, url: str) -> tuple[Account, str, str]:
        """The account, container and beginning of names that the URL stands for; empty where it
        names none. Raises `Invalid` as `place` does."""
        account, path = self._account(url)
        container, _, prefix = path.partition("/")
        if container:
            _check_container(container, url)
        return account, container, unquote(prefix)

    def _split(self, url: str) -> Place:
        return _below(*self._account(url), url)

    def _account(self, url: str) -> tuple[Account, str]:
        """The configured account, and the rest of the URL's path."""
        parts = urlsplit(url)
        if parts.query or parts.fragment or "?" in url or "#" in url:
            raise Invalid(
                f"{_plain(url)} came with a query or a fragment",
                action="Send the bare URL, without a shared access signature.",
            )
        host = f"{parts.scheme}://{parts.netloc}".lower()
        path = parts.path.removeprefix("/")
        first, _, rest = path.partition("/")
        if host in self._by_root:
            return self._by_root[host], path
        if f"{host}/{first}" in self._by_root:
            return self._by_root[f"{host}/{first}"], rest
        raise Invalid(
            f"{_plain(url)} lies in no storage account that Vaultline may use",
            action="Correct the URL, or add the account to the setting VAULTLINE_ACCOUNTS.",
        )


def open_account(
    name: str, setting: str, pool: Pool, identity: Callable[[], AsyncTokenCredential], clock: Clock
) -> Account:
    """The account that the setting describes: a connection string, or an `https` endpoint that
    the app's identity opens. Raises `Invalid`, without the setting's value."""
    options: dict[str, Any] = {"transport": pool, "retry_policy": BlobPatience()}
    try:
        if setting.startswith("https://"):
            return Account(BlobServiceClient(setting, identity(), **options), "", clock)
        service = BlobServiceClient.from_connection_string(setting, **options)
        return Account(service, str(service.credential.account_key), clock)
    except (ValueError, AttributeError):
        raise Invalid(
            f"setting VAULTLINE_ACCOUNTS: '{name}' has neither a connection string with a key "
            "nor the https endpoint of a blob service"
        ) from None


def _below(account: Account, path: str, url: str) -> Place:
    container, _, name = path.partition("/")
    _check_container(container, url)
    return Place(account, container, unquote(name))


def _check_container(container: str, url: str) -> None:
    if not _CONTAINER.fullmatch(container):
        raise Invalid(f"{_plain(url)} does not name a container: …/container/name is expected")


def _plain(url: str) -> str:
    """The URL without what may be secret in it."""
    bare = url.partition("?")[0].partition("#")[0]
    return scrub(bare.rpartition("@")[2] if "@" in bare else bare)[:200]
