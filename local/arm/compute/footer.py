"""The last 512 bytes of a fixed VHD: a managed disk is exported and uploaded with them."""

import struct
from uuid import UUID

SIZE = 512
COOKIE = b"conectix"

# Cookie, features, format version, data offset, time stamp, creator (name, version, host),
# original size, current size, geometry, disk type; the checksum and the rest follow.
_HEAD = struct.Struct(">8sIIQI4sI4sQQHBBI")
_FIXED = 2


def footer(size_bytes: int, disk: UUID) -> bytes:
    """The footer of a fixed disk of `size_bytes` (without the footer)."""
    head = _HEAD.pack(
        COOKIE,
        2,
        0x00010000,
        0xFFFFFFFFFFFFFFFF,
        0,
        b"vltl",
        0x00010000,
        b"Wi2k",
        size_bytes,
        size_bytes,
        *_geometry(size_bytes // 512),
        _FIXED,
    )
    tail = disk.bytes.ljust(SIZE - len(head) - 4, b"\0")
    checksum = ~sum(head + tail) & 0xFFFFFFFF
    return head + struct.pack(">I", checksum) + tail


def is_footer(block: bytes) -> bool:
    """Whether these are the last bytes of a VHD."""
    return block.startswith(COOKIE)


def _geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors a track as the format's specification rounds them."""
    if sectors >= 65536 * 16 * 63:
        return 65535, 16, 255
    per_track, heads = 17, max(4, (sectors // 17 + 1023) // 1024)
    cylinder_heads = sectors // per_track
    if cylinder_heads >= heads * 1024 or heads > 16:
        per_track, heads = 31, 16
        cylinder_heads = sectors // per_track
    if cylinder_heads >= heads * 1024:
        per_track, heads = 63, 16
        cylinder_heads = sectors // per_track
    return cylinder_heads // heads, heads, per_track
