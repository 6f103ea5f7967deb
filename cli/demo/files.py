"""The real files that the demo's disk holds: this Python's own standard library."""

import os
import re
import shutil
import sysconfig
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from cli.demo.image import BLOCK_BYTES

_PLAIN = re.compile(r"[\w./+-]+", re.ASCII)
"""Paths that need no quoting in `debugfs`."""
_NOT_THE_LIBRARY = frozenset({"site-packages", "dist-packages"})


@dataclass(frozen=True, order=True)
class FileEntry:
    """A file by its path in the tree (POSIX, relative)."""

    path: str
    size_bytes: int

    @property
    def disk_bytes(self) -> int:
        """What it takes on the disk, at most: whole blocks, and one for its directory entry."""
        return (-(-self.size_bytes // BLOCK_BYTES) + 1) * BLOCK_BYTES


def library() -> Path:
    """The folder of the standard library."""
    return Path(sysconfig.get_path("stdlib"))


def listed(root: Path) -> list[FileEntry]:
    """The regular files below `root`, by path; installed packages and odd names left out."""
    found = ((path.relative_to(root).as_posix(), path) for path in _files_below(root))
    return sorted(
        FileEntry(relative, path.stat().st_size)
        for relative, path in found
        if _PLAIN.fullmatch(relative) and path.is_file() and not path.is_symlink()
    )


def fitting(files: Iterable[FileEntry], budget_bytes: int) -> list[FileEntry]:
    """As many of the files, in their order, as the budget holds; what is too large is skipped."""
    chosen: list[FileEntry] = []
    for file in files:
        if file.disk_bytes <= budget_bytes:
            budget_bytes -= file.disk_bytes
            chosen.append(file)
    return chosen


def lay_out(root: Path, files: Iterable[FileEntry], tree: Path) -> None:
    """Copies the files to the same places below `tree`."""
    for file in files:
        place = tree / file.path
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(root / file.path, place)


def _files_below(root: Path) -> Iterator[Path]:
    """Walks past the folders of installed packages, which may hold many times as much."""
    for folder, subfolders, names in os.walk(root):
        subfolders[:] = [name for name in subfolders if name not in _NOT_THE_LIBRARY]
        yield from (Path(folder, name) for name in names)
