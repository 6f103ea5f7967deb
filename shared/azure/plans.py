"""Plans as block blobs beside the replica: what they hold is fixed once they are written."""

from base64 import b64encode
from collections.abc import AsyncIterable
from hashlib import sha256

from azure.core import MatchConditions
from azure.core.exceptions import HttpResponseError, ResourceNotFoundError
from azure.storage.blob import BlobBlock, BlobType
from azure.storage.blob.aio import BlobClient

from shared.azure.accounts import Accounts, Place
from shared.azure.containers import in_container
from shared.azure.errors import each_page, error_code, translated
from shared.model.errors import Conflict, NotFound, SourceGone

_TAKEN = frozenset({"BlobAlreadyExists", "InvalidBlockList"})
"""What the end of a blob that is there already is refused with: its blocks are used up."""


class AzurePlans:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def put(self, url: str, blocks: AsyncIterable[bytes]) -> None:
        place = self._accounts.place(url)
        upload, digest = _Upload(place), sha256()
        async for block in blocks:
            digest.update(block)
            with translated(url):
                await upload.add(block)
        with translated(url):
            try:
                await upload.end()
            except HttpResponseError as error:
                if error_code(error) not in _TAKEN:
                    raise
                if await _digest(place.client()) != digest.digest():
                    raise Conflict(f"another plan lies at {url}") from None

    async def slice(self, url: str, offset: int, length: int) -> bytes:
        blob = self._accounts.place(url).client()
        try:
            with translated(url):
                return await _read(blob, offset, length) if length else b""
        except SourceGone:
            raise NotFound(f"there is no plan at {url}") from None

    async def urls(self, prefix: str) -> list[str]:
        place = self._accounts.prefix(prefix)
        return [prefix + name.removeprefix(place.name) for name in await self._names(prefix)]

    async def delete(self, prefix: str) -> None:
        container = self._accounts.prefix(prefix).container_client()
        with translated(prefix):
            for name in await self._names(prefix):
                await _delete(container.get_blob_client(name))

    async def _names(self, prefix: str) -> list[str]:
        """Block blobs only: a replica whose name begins alike is no plan."""
        place, names = self._accounts.prefix(prefix), list[str]()
        listing = place.container_client().list_blobs(name_starts_with=place.name)
        try:
            async for page in each_page(listing.by_page(), prefix):
                names += [str(b.name) for b in page if b.blob_type == BlobType.BLOCKBLOB]
        except SourceGone:
            return []  # no container, no plans
        return names


class _Upload:
    """A blob that comes to be at its end: in one request where it has one block, else staged
    block by block. SDK errors pass."""

    def __init__(self, place: Place) -> None:
        self._place = place
        self._last = b""
        self._staged: list[BlobBlock] = []

    async def add(self, block: bytes) -> None:
        if self._last:
            await self._stage()
        self._last = block

    async def end(self) -> None:
        if self._staged:
            await self._stage()
            await self._place.client().commit_block_list(
                self._staged, match_condition=MatchConditions.IfMissing
            )
        else:
            await in_container(
                self._place,
                lambda: self._place.client().upload_blob(
                    self._last, overwrite=False, validate_content=True
                ),
            )

    async def _stage(self) -> None:
        block = BlobBlock(b64encode(f"{len(self._staged):08}".encode()).decode())
        await in_container(
            self._place,
            lambda: self._place.client().stage_block(block.id, self._last, validate_content=True),
        )
        self._staged.append(block)


async def _delete(blob: BlobClient) -> None:
    try:
        await blob.delete_blob()
    except ResourceNotFoundError:
        return


async def _read(blob: BlobClient, offset: int, length: int) -> bytes:
    stream = await blob.download_blob(offset=offset, length=length)
    return await stream.readall()


async def _digest(blob: BlobClient) -> bytes:
    stream, digest = await blob.download_blob(), sha256()
    async for chunk in stream.chunks():
        digest.update(chunk)
    return digest.digest()
