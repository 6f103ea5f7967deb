"""Reading a restored disk back, and looking into it."""

import asyncio
from pathlib import Path

from cli.demo.blobs import download
from cli.demo.edits import Contents
from cli.demo.filesystem import FileSystems
from cli.demo.image import sha256_of
from cli.demo.proof import Restored, Seen, file_verdict
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
) -> Seen:
    """Downloads the disk to `image`, compares it with `contents`, and removes it."""
    await download(ports, snapshot, image)
    return await asyncio.to_thread(examine, tools, image, contents)


async def look_at_live(
    ports: Ports, tools: FileSystems, disk: DiskUrl, image: Path, contents: Contents
) -> Seen:
    """The same of a disk as it stands, by a snapshot that does not stay."""
    snapshot = await ports.disks.take_snapshot(disk, CHECK_TAG)
    try:
        return await look_into(ports, tools, snapshot, image, contents)
    finally:
        await ports.disks.delete_snapshot(snapshot)


def restored(seen: Seen, job: Job) -> Restored:
    """What was seen of the disk that the job, which has ended, restored."""
    assert job.ended_at is not None
    seconds = (job.ended_at - job.started_at).total_seconds()
    return Restored(seen=seen, moved_bytes=job.moved_bytes, seconds=seconds)


def examine(tools: FileSystems, image: Path, contents: Contents) -> Seen:
    """What an image of a disk holds, compared with `contents`; the image is removed."""
    files = {
        path: file_verdict(expected, tools.extract(image, path))
        for path, expected in contents.items()
    }
    seen = Seen(sha256=sha256_of(image), fsck=tools.check(image), files=files)
    image.unlink()
    return seen
