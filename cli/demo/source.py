"""The demo's disk: an image file of real files, and the page blob that follows it."""

import asyncio
import shutil
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from cli.demo.blobs import write_changes
from cli.demo.edits import Contents, Edit, after, plan_edits
from cli.demo.files import fitting, lay_out, library, listed
from cli.demo.filesystem import FileSystems
from cli.demo.image import Survey, blank, differences, survey
from shared.model.ids import DiskUrl
from shared.model.ranges import Change, ChangedRange
from shared.ports import Ports

MIB = 1024 * 1024
_FILLED = 0.45
"""The library may take so much of the disk; the rest is for its journal, tables and growth."""
_ADDED = 1 / 64
"""Each round of edits adds files of so much of the disk."""


@dataclass(frozen=True, kw_only=True)
class SourceDisk:
    """The image file in one of its states, and what some of its files hold then.

    `written_bytes` and `cleared_bytes` are what became of the blob since the state before;
    `edits` are still to come.
    """

    image: Path
    tools: FileSystems
    state: Survey
    contents: Contents
    edits: Sequence[Edit]
    written_bytes: int = 0
    cleared_bytes: int = 0


def build(folder: Path, tools: FileSystems, size_mib: int) -> SourceDisk:
    """A new image of real files in the folder. Raises `ToolFailed`."""
    root, tree, image = library(), folder / "tree", folder / "disk.img"
    folder.mkdir(parents=True, exist_ok=True)
    files = fitting(listed(root), int(size_mib * MIB * _FILLED))
    lay_out(root, files, tree)
    tools.make(image, size_mib, tree)
    shutil.rmtree(tree)
    edits = plan_edits(files, int(size_mib * MIB * _ADDED))
    return SourceDisk(
        image=image,
        tools=tools,
        state=survey(image),
        contents={path: _content(root / path) for edit in edits for path in edit.telling},
        edits=edits,
    )


def first_state(disk: SourceDisk) -> tuple[SourceDisk, list[ChangedRange]]:
    """The disk as it was built, and what is to be written to a blank one: its zeros stay
    unwritten."""
    changes = differences(blank(disk.state.size_bytes), disk.state.blocks)
    return replace(disk, written_bytes=_bytes(changes, Change.WRITTEN)), changes


def next_state(disk: SourceDisk) -> tuple[SourceDisk, list[ChangedRange]]:
    """The disk after its next round of edits, made in its image, and what changed: blocks that
    became zeros are to be cleared. Raises `ToolFailed`."""
    edit, *later = disk.edits
    disk.tools.edit(disk.image, edit)
    state = survey(disk.image)
    changes = differences(disk.state.blocks, state.blocks)
    edited = replace(
        disk,
        state=state,
        contents=after(disk.contents, edit),
        edits=later,
        written_bytes=_bytes(changes, Change.WRITTEN),
        cleared_bytes=_bytes(changes, Change.CLEARED),
    )
    return edited, changes


async def upload(ports: Ports, disk: SourceDisk, url: DiskUrl) -> SourceDisk:
    """Makes the page blob and writes what the image holds."""
    await ports.images.create(url, disk.state.size_bytes, tag="")
    uploaded, changes = first_state(disk)
    await write_changes(ports, url, disk.image, changes)
    return uploaded


async def change(ports: Ports, disk: SourceDisk, url: DiskUrl) -> SourceDisk:
    """Makes the next round of edits, in the image and then in the blob."""
    changed, changes = await asyncio.to_thread(next_state, disk)
    await write_changes(ports, url, disk.image, changes)
    return changed


def unchanged(disk: SourceDisk) -> SourceDisk:
    """The same state, nothing done to it since it was last backed up."""
    return replace(disk, written_bytes=0, cleared_bytes=0)


def _bytes(changes: Iterable[ChangedRange], change: Change) -> int:
    return sum(each.range.size_bytes for each in changes if each.change is change)


def _content(file: Path) -> bytes | None:
    return file.read_bytes() if file.exists() else None
