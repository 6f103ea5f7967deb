"""Restored disks as VHDs: page blobs in an account of the local storage."""

from collections.abc import Mapping
from contextlib import suppress

from azure.core.exceptions import ResourceExistsError
from azure.storage.blob.aio import BlobServiceClient

from local.arm.compute.vhds import Vhds

_SECONDS = 3600


class VhdExports:
    """Copies hidden blobs into storage accounts that are known by name."""

    def __init__(self, vhds: Vhds, keys: Mapping[str, str]) -> None:
        self._vhds = vhds
        self._keys = keys

    async def export(self, vhd: str, account: str, container: str, blob: str) -> str | None:
        """The copy's URL; None for an account that is not of the local storage."""
        key = self._keys.get(account)
        if key is None:
            return None
        grant = await self._vhds.grant(vhd, write=False, seconds=_SECONDS)
        try:
            return await self._copy(grant.url, account, key, container, blob)
        finally:
            await self._vhds.revoke(vhd)

    async def _copy(self, source: str, account: str, key: str, container: str, blob: str) -> str:
        endpoint = source.split("/", 4)
        url = f"{endpoint[0]}//{endpoint[2]}/{account}"
        async with BlobServiceClient(url, credential=key) as service:
            with suppress(ResourceExistsError):
                await service.create_container(container)
            copy = service.get_blob_client(container, blob)
            await copy.start_copy_from_url(source)
            return str(copy.url)
