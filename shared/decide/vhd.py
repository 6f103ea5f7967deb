"""The footer of a fixed VHD: a managed disk is uploaded with one at its end, and is read with one.

Layout as in Microsoft's "Virtual Hard Disk Image Format Specification", version 1.0.
"""

import struct
from uuid import UUID

FOOTER_BYTES = 512
_FIELDS = struct.Struct(">8sIIQI4sI4sQQHBBII16s")
"""Cookie, features, version, data offset, time, creator's name, version and system, original and
current size, cylinders, heads, sectors, type, checksum, unique id; reserved zeros follow."""
_NO_OFFSET = 0xFFFF_FFFF_FFFF_FFFF
_FIXED = 2
_VERSION = 0x0001_0000


def footer(size_bytes: int, id_: UUID) -> bytes:
    """The footer of a disk of `size_bytes`, which does not count the footer itself."""
    zeros = _footer(size_bytes, id_, 0)
    return _footer(size_bytes, id_, ~sum(zeros) & 0xFFFF_FFFF)


def _footer(size_bytes: int, id_: UUID, checksum: int) -> bytes:
    fields = _FIELDS.pack(
        b"conectix",
        2,
        _VERSION,
        _NO_OFFSET,
        0,
        b"vlin",
        _VERSION,
        b"Wi2k",
        size_bytes,
        size_bytes,
        *_geometry(size_bytes // 512),
        _FIXED,
        checksum,
        id_.bytes,
    )
    return fields.ljust(FOOTER_BYTES, b"\0")


def _geometry(sectors: int) -> tuple[int, int, int]:
    """Cylinders, heads and sectors a track, by the specification's appendix."""
    sectors = min(sectors, 65535 * 16 * 255)
    if sectors >= 65535 * 16 * 63:
        return sectors // 255 // 16, 16, 255
    tracks = sectors // 17
    heads = max(4, (tracks + 1023) // 1024)
    if heads <= 16 and tracks < heads * 1024:
        return tracks // heads, heads, 17
    tracks = sectors // 31
    if tracks < 16 * 1024:
        return tracks // 16, 16, 31
    return sectors // 63 // 16, 16, 63
