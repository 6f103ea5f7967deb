"""How each of the other tools is asked for a backup, and what it says of it."""

import json
import os
import subprocess
from abc import ABC, abstractmethod
from dataclasses import dataclass
from pathlib import Path
from time import perf_counter
from typing import ClassVar

from azure.storage.blob.aio import BlobClient

from bench import tools
from bench.disk import Changes
from shared.model.ranges import Span


@dataclass(frozen=True, kw_only=True)
class State:
    """A disk as it is to be backed up for the `number`th time: the same bytes as a file, and as a
    snapshot that `source_url` may read; `target_url` may be written to. `changes` have been made
    since the last time."""

    number: int
    file: Path
    source_url: str
    target_url: str
    changes: Changes | None


@dataclass(frozen=True)
class Took:
    """What a backup took; processor time is of the tool and all that it started."""

    seconds: float
    cpu_seconds: float
    read_bytes: int


class Peer(ABC):
    """A tool, installed, with a repository of its own in `folder`. Raises `Missing`."""

    name: ClassVar[str]
    how: ClassVar[str]

    def __init__(self, installed: Path, folder: Path) -> None:
        self.tool = tools.INSTALL[self.name](installed)
        self.folder = folder / self.name
        self.prepare()

    def prepare(self) -> None:
        """Makes what the tool keeps its backups in."""
        self.folder.mkdir()

    @abstractmethod
    def command(self, state: State) -> list[str]:
        """The words after the tool's own."""

    @abstractmethod
    def read_bytes(self, said: str) -> int:
        """How much of the disk was read, by what the tool printed."""

    def env(self) -> dict[str, str]:
        """What the tool's environment has besides."""
        return {}

    def back_up(self, state: State) -> Took:
        """One backup. Raises `RuntimeError` with the tool's words where it fails."""
        command = self.command(state)
        began = perf_counter()
        said, cpu = self.call(*command)
        return Took(perf_counter() - began, cpu, self.read_bytes(said))

    def call(self, *words: str) -> tuple[str, float]:
        """What the tool prints, and the processor time it took."""
        before = os.times()
        done = subprocess.run(
            [*self.tool.argv, *words],
            env={**os.environ, **self.tool.env, **self.env()},
            capture_output=True,
            text=True,
        )
        after = os.times()
        if done.returncode:
            raise RuntimeError(f"{self.name}: {done.stderr[-500:]} {done.stdout[-500:]}")
        spent = after.children_user + after.children_system
        return done.stdout, spent - before.children_user - before.children_system


class AzCopy(Peer):
    name = "AzCopy"
    how = "the storage copies all that is allocated"

    def env(self) -> dict[str, str]:
        home = str(self.folder)
        return {"AZCOPY_LOG_LOCATION": home, "AZCOPY_JOB_PLAN_LOCATION": home}

    def command(self, state: State) -> list[str]:
        flags = ("--from-to", "BlobBlob", "--blob-type", "PageBlob", "--output-type", "json")
        return ["copy", state.source_url, state.target_url, *flags, "--skip-version-check"]

    def read_bytes(self, said: str) -> int:
        ended = [line for line in said.splitlines() if '"EndOfJob"' in line][-1]
        return int(json.loads(json.loads(ended)["MessageContent"])["TotalBytesTransferred"])


class Restic(Peer):
    name = "restic"
    how = "scanner of a file"

    def env(self) -> dict[str, str]:
        cache = str(self.folder / "cache")
        return {"RESTIC_PASSWORD": "bench", "RESTIC_CACHE_DIR": cache}

    @property
    def _repository(self) -> tuple[str, str]:
        return "--repo", str(self.folder / "repository")

    def prepare(self) -> None:
        super().prepare()
        self.call(*self._repository, "init")

    def command(self, state: State) -> list[str]:
        return [*self._repository, "backup", "--json", str(state.file)]

    def read_bytes(self, said: str) -> int:
        return int(json.loads(said.splitlines()[-1])["total_bytes_processed"])


class Borg(Peer):
    name = "BorgBackup"
    how = "scanner of a file"

    @property
    def _repository(self) -> str:
        return str(self.folder / "repository")

    def prepare(self) -> None:
        super().prepare()
        self.call("init", "--encryption", "none", self._repository)

    def command(self, state: State) -> list[str]:
        return ["create", "--json", f"{self._repository}::{state.number}", str(state.file)]

    def read_bytes(self, said: str) -> int:
        return int(json.loads(said)["archive"]["stats"]["original_size"])


class Benji(Peer):
    name = "Benji"
    how = "reads from a file what it is told has changed"

    def prepare(self) -> None:
        super().prepare()
        store, database = self.folder / "store", self.folder / "benji.sqlite"
        store.mkdir()
        self._config.write_text(
            "configurationVersion: '1'\n"
            f"databaseEngine: sqlite:///{database}\n"
            "defaultStorage: store\n"
            "storages:\n"
            "  - {name: store, storageId: 1, module: file, "
            f"configuration: {{path: {store}}}}}\n"
            "ios:\n"
            "  - {name: file, module: file}\n"
        )
        self.call(*self._using, "database-init")

    @property
    def _config(self) -> Path:
        return self.folder / "benji.yaml"

    @property
    def _using(self) -> tuple[str, ...]:
        return "--config-file", str(self._config), "--machine-output"

    def command(self, state: State) -> list[str]:
        since: list[str] = []
        if state.changes is not None:
            hints = self.folder / f"hints-{state.number}.json"
            hints.write_text(json.dumps(_hints(state.changes)))
            since = ["--base-version", f"v{state.number - 1}", "--rbd-hints", str(hints)]
        source = f"file:{state.file}"
        return [*self._using, "backup", "--uid", f"v{state.number}", *since, source, "disk"]

    def read_bytes(self, said: str) -> int:
        return int(json.loads(said)["versions"][0]["bytes_read"])


def _hints(changes: Changes) -> list[dict[str, object]]:
    """The list of changes, in the words of Ceph's diff."""

    def told(span: Span, exists: str) -> dict[str, object]:
        return {"offset": span[0], "length": span[1] - span[0], "exists": exists}

    every = [*(told(span, "true") for span in changes.written)]
    every += [told(span, "false") for span in changes.cleared]
    return sorted(every, key=lambda each: int(str(each["offset"])))


PEERS: tuple[type[Peer], ...] = (AzCopy, Benji, Restic, Borg)


async def refresh(file: Path, blob: BlobClient, changes: Changes | None) -> None:
    """Brings the file up to date with the blob: the changed ranges, or what is allocated."""
    if changes is None:
        size = (await blob.get_blob_properties()).size
        with file.open("wb") as empty:
            empty.truncate(size)
        written = [
            (int(each.start or 0), int(each.end or 0) + 1) async for each in blob.list_page_ranges()
        ]
        changes = Changes(written, [])
    with file.open("r+b") as image:
        for start, end in changes.written:
            image.seek(start)
            image.write(await (await blob.download_blob(start, end - start)).readall())
        for start, end in changes.cleared:
            image.seek(start)
            image.write(bytes(end - start))
