"""Page blobs as tests handle them: short words for long SDK calls."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from azure.core.exceptions import HttpResponseError
from azure.storage.blob import BlobClient, ContainerClient, generate_blob_sas

from local.storage.azurite import ACCOUNTS

PAGE = 512
KEYS: Mapping[str | None, str] = {account.name: account.key for account in ACCOUNTS}


@dataclass(frozen=True)
class Span:
    """A range of pages, `[first, end)`, in pages."""

    first: int
    end: int
    cleared: bool = False


def new_disk(container: ContainerClient, name: str, pages: int) -> BlobClient:
    """An empty page blob."""
    disk = container.get_blob_client(name)
    disk.create_page_blob(pages * PAGE)
    return disk


def write(disk: BlobClient, first: int, content: str) -> None:
    """Writes one page a letter."""
    body = b"".join(letter.encode() * PAGE for letter in content)
    disk.upload_page(body, first * PAGE, len(body))


def clear(disk: BlobClient, first: int, count: int = 1) -> None:
    disk.clear_page(first * PAGE, count * PAGE)


def text(disk: BlobClient) -> str:
    """One letter a page; `.` for zeros, `?` for a page of several bytes."""
    content = disk.download_blob().readall()
    pages = (content[at : at + PAGE] for at in range(0, len(content), PAGE))
    return "".join(_letter(page) for page in pages)


def _letter(page: bytes) -> str:
    return "?" if len(set(page)) != 1 else chr(page[0]) if page[0] else "."


def take_snapshot(disk: BlobClient) -> str:
    return str(disk.create_snapshot()["snapshot"])


def at(disk: BlobClient, snapshot: str) -> BlobClient:
    """The client of a snapshot, with the same credential."""
    return BlobClient.from_blob_url(
        disk.url, credential=KEYS[disk.account_name], snapshot=snapshot, retry_total=0
    )


def read_url(
    disk: BlobClient, snapshot: str | None = None, permission: str = "r", hours: int = 1
) -> str:
    """The URL with a SAS; with `snapshot` the SAS and the URL are of that snapshot only.

    Negative `hours` make one that has expired.
    """
    sas = generate_blob_sas(
        disk.account_name or "",
        disk.container_name,
        disk.blob_name,
        snapshot=snapshot,
        account_key=KEYS[disk.account_name],
        permission=permission,
        expiry=datetime.now(UTC) + timedelta(hours=hours),
    )
    return f"{disk.url}?{f'snapshot={snapshot}&' if snapshot else ''}{sas}"


def spans(listed: Iterable[object]) -> list[Span]:
    """What `list_page_ranges` yields, in pages."""
    return [
        Span(each.start // PAGE, (each.end + 1) // PAGE, each.cleared)  # type: ignore[attr-defined]
        for each in listed
    ]


def raw_spans(
    pair: tuple[Iterable[Mapping[str, int]], Iterable[Mapping[str, int]]],
) -> list[Span]:
    """What the tuple-valued range calls answer, in pages and in order."""
    written, cleared = pair
    both = [(each, False) for each in written] + [(each, True) for each in cleared]
    found = [Span(each["start"] // PAGE, (each["end"] + 1) // PAGE, gone) for each, gone in both]
    return sorted(found, key=lambda span: span.first)


def allocated(disk: BlobClient) -> list[Span]:
    return spans(disk.list_page_ranges())


def changed(disk: BlobClient, since: str) -> list[Span]:
    return spans(disk.list_page_ranges(previous_snapshot=since))


def reason(error: HttpResponseError) -> tuple[int | None, str | None]:
    """Status and error code of a refusal."""
    return error.status_code, getattr(error, "error_code", None)


def headers_of(error: HttpResponseError) -> Mapping[str, str]:
    return getattr(error.response, "headers", {})
