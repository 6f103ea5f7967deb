"""What the demo does to the disk's files between backups. Deterministic, so that what any file
holds at any point is known without asking the disk."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from cli.demo.files import FileEntry

Contents = Mapping[str, bytes | None]
"""What some files hold, by path; None where there is no such file."""

ROUNDS = 3
_SHARE = 40
"""Each round deletes and changes one file in so many."""
_GROWTH_BYTES = 1000
_ADDED_FILES = 4


@dataclass(frozen=True, kw_only=True)
class Edit:
    """One round of changes. `added` files lie in the new `folder`; paths are relative."""

    folder: str
    added: Mapping[str, bytes]
    changed: Mapping[str, bytes]
    deleted: Sequence[str]

    @property
    def written(self) -> dict[str, bytes]:
        return {**self.added, **self.changed}

    @property
    def telling(self) -> tuple[str, str, str]:
        """One file of each sort: what they hold tells whether the round is in an image."""
        return next(iter(self.added)), next(iter(self.changed)), self.deleted[0]


def plan_edits(files: Sequence[FileEntry], added_bytes: int) -> list[Edit]:
    """The rounds, none touching another's files. Every round adds `added_bytes` of new files."""
    shuffled = sorted(files, key=lambda file: _noise(file.path, 8))
    count = max(1, len(files) // _SHARE)
    return [
        _edit(number, shuffled[2 * number * count :][: 2 * count], added_bytes)
        for number in range(ROUNDS)
    ]


def _edit(number: int, files: Sequence[FileEntry], added_bytes: int) -> Edit:
    deleted, changed = files[: len(files) // 2], files[len(files) // 2 :]
    folder = f"added-{number + 1}"
    names = [f"{folder}/{index}.bin" for index in range(_ADDED_FILES)]
    return Edit(
        folder=folder,
        added={name: _noise(name, added_bytes // _ADDED_FILES) for name in names},
        changed={file.path: _noise(file.path, file.size_bytes + _GROWTH_BYTES) for file in changed},
        deleted=[file.path for file in deleted],
    )


def after(contents: Contents, edit: Edit) -> dict[str, bytes | None]:
    """What those files hold once the edit is made."""
    made = {**contents, **dict.fromkeys(edit.deleted), **edit.written}
    return {path: made[path] for path in contents}


def debugfs_script(edit: Edit) -> str:
    """The edit as commands of `debugfs`, deletions last: what they free then stays free. The
    contents to write are in files named by their path's place in `edit.written`: 0, 1, …"""
    replaced = [f"rm /{path}" for path in edit.changed]
    written = [f"write {number} /{path}" for number, path in enumerate(edit.written)]
    deleted = [f"rm /{path}" for path in edit.deleted]
    return "\n".join([f"mkdir /{edit.folder}", *replaced, *written, *deleted]) + "\n"


def _noise(seed: str, size_bytes: int) -> bytes:
    return hashlib.shake_128(seed.encode()).digest(size_bytes)
