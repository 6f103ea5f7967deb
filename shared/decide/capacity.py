"""How near a storage vault's account is to what Azure lets it do.

Limits are Azure's for standard accounts, the lower one where they differ by region.
"""

from collections.abc import Iterator
from dataclasses import dataclass

PIB, TIB, TERABYTE = 1024**5, 1024**4, 10**12
ACCOUNT_BYTES = 5 * PIB
"""Default capacity of an account."""
INGRESS_BYTES_A_DAY = 25 * 10**9 // 8 * 86_400
"""25 Gbps, all day long."""
REQUESTS_A_DAY = 20_000 * 86_400
REQUEST_BYTES = 123 * 1024
"""What one request moves where a page blob's requests and its bytes are used up together (500
requests and 60 MiB a second)."""
PAGE_BLOB_BYTES = 8 * TIB
NEAR = 0.8
"""From this share of a limit on, people are warned."""


@dataclass(frozen=True, kw_only=True)
class Usage:
    """What is, or will be, asked of one account."""

    stored_bytes: int
    daily_bytes: int
    largest_disk_bytes: int


def warnings_for(usage: Usage) -> list[str]:
    """A sentence for each limit that is near or passed."""
    return list(_warnings(usage))


def _warnings(usage: Usage) -> Iterator[str]:
    requests = usage.daily_bytes / REQUEST_BYTES
    yield from _near(
        usage.stored_bytes / ACCOUNT_BYTES,
        f"the account is to hold {_tb(usage.stored_bytes)} of the 5 PiB that one may",
        "spread the items over vaults in several accounts",
    )
    yield from _near(
        usage.daily_bytes / INGRESS_BYTES_A_DAY,
        f"{_tb(usage.daily_bytes)} a day of the {_tb(INGRESS_BYTES_A_DAY)} that 25 Gbps carry",
        "spread the items over vaults in several accounts",
    )
    yield from _near(
        requests / REQUESTS_A_DAY,
        f"about {requests:,.0f} requests a day of the {REQUESTS_A_DAY:,} that an account serves",
        "spread the items over vaults in several accounts",
    )
    yield from _near(
        usage.largest_disk_bytes / PAGE_BLOB_BYTES,
        f"the largest disk has {_tb(usage.largest_disk_bytes)} of the 8 TiB of a page blob",
        "split the disk: a replica is one page blob",
    )


def _near(share: float, told: str, advice: str) -> Iterator[str]:
    if share >= NEAR:
        yield f"{share:.0%} of a limit: {told}; {advice}"


def _tb(count: float) -> str:
    return f"{count / TERABYTE:,.1f} TB"
