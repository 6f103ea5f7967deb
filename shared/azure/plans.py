"""Plans as block blobs beside the replica: what they hold is fixed once they are written."""

from collections.abc import Sequence

from azure.core.exceptions import ResourceExistsError, ResourceNotFoundError
from azure.storage.blob import BlobType
from azure.storage.blob.aio import BlobClient

from shared.azure.accounts import Accounts
from shared.azure.containers import in_container
from shared.azure.errors import translated
from shared.model.errors import Conflict, NotFound, SourceGone
from shared.model.plan import PageOp, encode


class AzurePlans:
    def __init__(self, accounts: Accounts) -> None:
        self._accounts = accounts

    async def put(self, url: str, ops: Sequence[PageOp]) -> None:
        place, body = self._accounts.place(url), encode(ops)
        blob = place.client()
        with translated(url):
            try:
                await in_container(
                    place, lambda: blob.upload_blob(body, overwrite=False, validate_content=True)
                )
            except ResourceExistsError:
                if await _read(blob) != body:
                    raise Conflict(f"another plan lies at {url}") from None

    async def slice(self, url: str, offset: int, length: int) -> bytes:
        blob = self._accounts.place(url).client()
        try:
            with translated(url):
                return await _read(blob, offset, length) if length else b""
        except SourceGone:
            raise NotFound(f"there is no plan at {url}") from None

    async def delete(self, prefix: str) -> None:
        """Block blobs only: a replica whose name begins alike is no plan."""
        place = self._accounts.prefix(prefix)
        container = place.container_client()
        with translated(prefix):
            try:
                async for blob in container.list_blobs(name_starts_with=place.name):
                    if blob.blob_type == BlobType.BLOCKBLOB:
                        await _delete(container.get_blob_client(str(blob.name)))
            except ResourceNotFoundError:
                return  # no container, no plans


async def _delete(blob: BlobClient) -> None:
    try:
        await blob.delete_blob()
    except ResourceNotFoundError:
        return


async def _read(blob: BlobClient, offset: int | None = None, length: int | None = None) -> bytes:
    stream = await blob.download_blob(offset=offset, length=length)
    return await stream.readall()
