"""The bytes of managed disks: page blobs of the local storage, one container each.

A container of its own lets a grant be a stored access policy, which can be taken back.
"""

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit
from uuid import uuid4

from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import (
    AccessPolicy,
    BlobSasPermissions,
    ContainerSasPermissions,
    generate_blob_sas,
)
from azure.storage.blob.aio import BlobClient, BlobServiceClient

from local.arm.compute.footer import SIZE, footer, is_footer

BLOB = "abcd"


class UnreadableSource(Exception):
    """The blob to import cannot be read."""


class NotAVhd(Exception):
    """The blob does not end as a VHD does; its address is the message."""


@dataclass(frozen=True)
class Grant:
    """A SAS that can be taken back: the policy it hangs on, its URL, its end (wall time)."""

    policy: str
    url: str
    expires: datetime


class Vhds:
    """Hidden page blobs in one account; a blob's name here is its container's.

    Each holds a disk's bytes and a VHD footer after them, as an export of a managed disk does.
    `keys` are the accounts of the local storage that blobs may be imported from.
    """

    def __init__(
        self, blob_endpoint: str, account: str, keys: Mapping[str, str], prefix: str = "md-"
    ) -> None:
        self._account = account
        self._keys = keys
        self._prefix = prefix
        self._service = BlobServiceClient(
            f"{blob_endpoint}/{account}",
            credential=keys[account],
            retry_total=2,
            initial_backoff=1,
        )

    async def close(self) -> None:
        await self._service.close()

    async def create(self, size_bytes: int) -> str:
        """An empty disk of `size_bytes`."""
        vhd = await self.create_for_upload(size_bytes + SIZE)
        await self._seal(self._blob(vhd), size_bytes)
        return vhd

    async def create_for_upload(self, blob_bytes: int) -> str:
        """A blob to be filled from outside, footer included."""
        vhd = await self._container()
        await self._blob(vhd).create_page_blob(blob_bytes)
        return vhd

    async def copy(self, source: str) -> str:
        """The bytes as they are at this moment, in a blob of their own."""
        return await self._copied_from(self._readable(self._blob(source).url))

    async def import_from(self, url: str) -> str:
        """A copy of a page blob of the local storage, read with its account's key.

        Raises UnreadableSource, or NotAVhd where it does not end in a footer.
        """
        try:
            vhd = await self._copied_from(self._readable(url))
        except HttpResponseError as error:
            raise UnreadableSource(url.partition("?")[0]) from error
        await self.require_footer(vhd)
        return vhd

    async def size_bytes(self, vhd: str) -> int:
        """The disk's size, without the footer."""
        properties = await self._blob(vhd).get_blob_properties()
        return int(properties.size) - SIZE

    async def resize(self, vhd: str, size_bytes: int) -> None:
        """Grows the disk; what is new reads as zeros."""
        blob = self._blob(vhd)
        before = await self.size_bytes(vhd)
        if size_bytes <= before:
            return
        await blob.resize_blob(size_bytes + SIZE)
        await blob.clear_page(before, SIZE)
        await self._seal(blob, size_bytes)

    async def require_footer(self, vhd: str) -> None:
        """Raises NotAVhd with the blob's address."""
        blob = self._blob(vhd)
        start = await self.size_bytes(vhd)
        reader = await blob.download_blob(offset=start, length=SIZE)
        if not is_footer(await reader.readall()):
            raise NotAVhd(blob.url)

    async def grant(self, vhd: str, *, write: bool, seconds: int) -> Grant:
        """A SAS on the blob for so many seconds of wall time; it replaces an earlier one."""
        expires = datetime.now(UTC) + timedelta(seconds=seconds)
        policy = str(uuid4())
        permission = ContainerSasPermissions(read=True, write=write)
        container = self._service.get_container_client(vhd)
        await container.set_container_access_policy(
            {policy: AccessPolicy(permission=permission, expiry=expires)}
        )
        return Grant(policy, self._signed(vhd, policy), expires)

    async def revoke(self, vhd: str) -> None:
        """What was granted is refused from now on."""
        container = self._service.get_container_client(vhd)
        await container.set_container_access_policy({})

    def own_url(self, vhd: str) -> str:
        """A SAS for a day that no policy ends: the machine's own way to its disk."""
        sas = generate_blob_sas(
            self._account,
            vhd,
            BLOB,
            account_key=self._keys[self._account],
            permission=BlobSasPermissions(read=True, write=True),
            expiry=datetime.now(UTC) + timedelta(days=1),
        )
        return f"{self._blob(vhd).url}?{sas}"

    async def delete(self, vhd: str) -> None:
        with suppress(ResourceNotFoundError):
            await self._service.delete_container(vhd)

    def _blob(self, vhd: str) -> BlobClient:
        return self._service.get_blob_client(vhd, BLOB)

    async def _container(self) -> str:
        name = f"{self._prefix}{token_hex(6)}"
        await self._service.create_container(name)
        return name

    async def _copied_from(self, url: str) -> str:
        vhd = await self._container()
        await self._blob(vhd).start_copy_from_url(url)
        return vhd

    async def _seal(self, blob: BlobClient, size_bytes: int) -> None:
        await blob.upload_page(footer(size_bytes, uuid4()), size_bytes, SIZE)

    def _readable(self, url: str) -> str:
        """The URL with a SAS of ours, unless it carries one or is not of the local storage."""
        parts = urlsplit(url)
        account, _, path = parts.path.lstrip("/").partition("/")
        if "sig=" in parts.query or account not in self._keys:
            return url
        container, _, name = path.partition("/")
        sas = generate_blob_sas(
            account,
            container,
            name,
            account_key=self._keys[account],
            snapshot=parse_qs(parts.query).get("snapshot", [None])[0],
            permission=BlobSasPermissions(read=True),
            expiry=datetime.now(UTC) + timedelta(hours=1),
        )
        return f"{url}{'&' if parts.query else '?'}{sas}"

    def _signed(self, vhd: str, policy: str) -> str:
        key = self._keys[self._account]
        sas = generate_blob_sas(self._account, vhd, BLOB, account_key=key, policy_id=policy)
        return f"{self._blob(vhd).url}?{sas}"
