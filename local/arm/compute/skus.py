"""What a managed disk's SKU and size decide: tier, IOPS and throughput."""

from dataclasses import dataclass

GIB = 1024**3
SLOWLY_HYDRATED = frozenset({"PremiumV2_LRS", "UltraSSD_LRS"})
"""Disks whose snapshots are copied in the background before they can be read."""


@dataclass(frozen=True)
class Performance:
    """What a disk may do; `tier` only where it is named (P1 to P80)."""

    iops: int
    mbps: int
    tier: str | None = None


# Largest size in GiB, name, IOPS, MB/s (source: Azure's disk types page; P1, P3, P4 recorded).
_PREMIUM = (
    (4, "P1", 120, 25),
    (8, "P2", 120, 25),
    (16, "P3", 120, 25),
    (32, "P4", 120, 25),
    (64, "P6", 240, 50),
    (128, "P10", 500, 100),
    (256, "P15", 1100, 125),
    (512, "P20", 2300, 150),
    (1024, "P30", 5000, 200),
    (2048, "P40", 7500, 250),
    (4096, "P50", 7500, 250),
    (8192, "P60", 16000, 500),
    (16384, "P70", 18000, 750),
    (32767, "P80", 20000, 900),
)
_SKU_TIERS = {"Standard": "Standard", "StandardSSD": "Standard", "UltraSSD": "Ultra"}


def sku_tier(sku: str) -> str:
    """`Premium` for Premium_LRS and PremiumV2_LRS, `Standard` for hard disks and Standard SSDs."""
    return _SKU_TIERS.get(sku.partition("_")[0], "Premium")


def performance(sku: str, size_gib: int) -> Performance:
    """What is recorded for Premium_LRS and Standard_LRS, and what is documented for the others."""
    if sku in SLOWLY_HYDRATED:
        return Performance(3000, 125)
    if not sku.startswith("Premium_"):
        return Performance(500, 60)
    step = next((each for each in _PREMIUM if size_gib <= each[0]), _PREMIUM[-1])
    return Performance(step[2], step[3], step[1])


def whole_gib(size_bytes: int) -> int:
    """The size that a disk of so many bytes is sold as."""
    return -(-size_bytes // GIB)
