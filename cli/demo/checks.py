"""Reading a restored disk back, and looking into it."""

import asyncio
from pathlib import Path

from cli.demo.blobs import download
from cli.demo.edits import Contents
from cli.demo.filesystem import FileSystems
from cli.demo.image import sha256_of
from cli.demo.proof import Restored, file_verdict
from shared.model.disk import Snapshot
from shared.model.errors import NotFound
from shared.model.ids import DiskUrl
from shared.model.job import Job
from shared.ports import Ports

CHECK_TAG = "demo.check"


async def snapshot_of(ports: Ports, target: DiskUrl, job: Job) -> Snapshot:
    """The snapshot that a restore to a new blob ends with. Raises `NotFound`."""
    for snapshot in await ports.disks.snapshots(target):
        if snapshot.tag == job.id:
            return snapshot
    raise NotFound(f"restore {job.id} left no snapshot of {target}")


async def look_into(
    ports: Ports, tools: FileSystems, snapshot: Snapshot, image: Path, contents: Contents
) -> tuple[str, str, dict[str, str]]:
    """Downloads the disk to `image`: its SHA-256, the state of its file system, and how the files
    in it compare with `contents`. The image file is removed."""
    await download(ports, snapshot, image)
    try:
        return await asyncio.to_thread(_verdicts, tools, image, contents)
    finally:
        image.unlink()


async def look_at_live(
    ports: Ports, tools: FileSystems, disk: DiskUrl, image: Path, contents: Contents
) -> tuple[str, str, dict[str, str]]:
    """The same of a disk as it stands, by a snapshot that does not stay."""
    snapshot = await ports.disks.take_snapshot(disk, CHECK_TAG)
    try:
        return await look_into(ports, tools, snapshot, image, contents)
    finally:
        await ports.disks.delete_snapshot(snapshot)


def restored(seen: tuple[str, str, dict[str, str]], job: Job) -> Restored:
    """What was seen of the disk that the job restored."""
    assert job.ended_at is not None
    sha256, fsck, files = seen
    return Restored(
        sha256=sha256,
        fsck=fsck,
        files=files,
        moved_bytes=job.moved_bytes,
        seconds=(job.ended_at - job.started_at).total_seconds(),
    )


def _verdicts(
    tools: FileSystems, image: Path, contents: Contents
) -> tuple[str, str, dict[str, str]]:
    files = {
        path: file_verdict(expected, tools.extract(image, path))
        for path, expected in contents.items()
    }
    return sha256_of(image), tools.check(image), files
