"""A page blob changed with nothing but `azure-storage-blob`, and what it must hold."""

import random

from azure.storage.blob import BlobClient

MIB = 1024 * 1024
PUT_LIMIT = 4 * MIB


class Disk:
    """A page blob and its content as written: the oracle that restored bytes are held against."""

    def __init__(self, blob: BlobClient, size_bytes: int, seed: int = 0) -> None:
        self.blob = blob
        self.url = blob.url
        self._random = random.Random(seed)
        self._content = bytearray(size_bytes)

    @property
    def content(self) -> bytes:
        """What it holds now."""
        return bytes(self._content)

    def continued(self, blob: BlobClient) -> "Disk":
        """Another blob that holds the same."""
        other = Disk(blob, len(self._content), seed=1)
        other._content[:] = self._content
        return other

    def resize(self, size_bytes: int) -> None:
        """Grows in place."""
        self.blob.resize_blob(size_bytes)
        self._content.extend(bytes(size_bytes - len(self._content)))

    def write(self, offset: int, length: int) -> None:
        """New random bytes there."""
        body = self._random.randbytes(length)
        for start in range(0, length, PUT_LIMIT):
            piece = body[start : start + PUT_LIMIT]
            self.blob.upload_page(piece, offset + start, len(piece))
        self._content[offset : offset + length] = body

    def clear(self, offset: int, length: int) -> None:
        """No bytes there any more, as a file system frees blocks."""
        self.blob.clear_page(offset, length)
        self._content[offset : offset + length] = bytes(length)

    def scribble(self, times: int = 8) -> None:
        """Writes and clears here and there."""
        for _ in range(times):
            length = self._random.choice([512, 4096, 65536, MIB])
            length = min(length, len(self._content))
            offset = self._random.randrange((len(self._content) - length) // 512 + 1) * 512
            (self.clear if self._random.random() < 0.3 else self.write)(offset, length)
