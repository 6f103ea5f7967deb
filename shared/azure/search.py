"""Looking for page blobs: in an account, a container, or under the beginning of names."""

from collections.abc import AsyncIterator
from urllib.parse import quote

from azure.storage.blob import BlobProperties, BlobType

from shared.azure.accounts import Account, Accounts
from shared.azure.errors import each_page
from shared.model.errors import SourceGone
from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope, Tag


async def search(
    accounts: Accounts, scope: Scope, image_tag: str
) -> AsyncIterator[list[FoundDisk]]:
    """The page blobs in the scope, a list a request; none where its container does not exist.
    Replicas are left out: their `image_tag` names an item, that of a restored disk names a job."""
    account, container, prefix = accounts.scope(scope.url)
    containers = _names(account) if not container else _only(container)
    async for name in containers:
        async for page in _blobs(account, name, prefix, scope.tag):
            yield [_found(account, name, blob) for blob in page if _is_disk(blob, image_tag)]


async def _only(container: str) -> AsyncIterator[str]:
    yield container


async def _names(account: Account) -> AsyncIterator[str]:
    """The account's containers, without the service's own."""
    pages = account.service.list_containers().by_page()
    async for page in each_page(pages, account.endpoint):
        for container in page:
            if not container.name.startswith("$"):
                yield container.name


async def _blobs(
    account: Account, container: str, prefix: str, tag: Tag | None
) -> AsyncIterator[list[BlobProperties]]:
    """Tags are asked for only where they matter: reading them takes a right of its own."""
    subject = f"{account.endpoint}/{container}"
    pages = (
        account.service.get_container_client(container)
        .list_blobs(
            name_starts_with=prefix or None,
            include=["metadata", "tags"] if tag else ["metadata"],
        )
        .by_page()
    )
    try:
        async for page in each_page(pages, subject):
            yield [
                blob for blob in page if tag is None or (blob.tags or {}).get(tag.name) == tag.value
            ]
    except SourceGone:
        return


def _is_disk(blob: BlobProperties, image_tag: str) -> bool:
    made_by = (blob.metadata or {}).get(image_tag, "")
    return blob.blob_type == BlobType.PAGEBLOB and (not made_by or "." in made_by)


def _found(account: Account, container: str, blob: BlobProperties) -> FoundDisk:
    url = f"{account.endpoint}/{quote(container)}/{quote(str(blob.name))}"
    return FoundDisk(url=DiskUrl(url), size_bytes=int(blob.size))
