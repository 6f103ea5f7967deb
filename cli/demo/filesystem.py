"""ext4 file systems in image files, by the tools of e2fsprogs."""

import shutil
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from cli.demo.edits import Edit, debugfs_script
from cli.demo.image import BLOCK_BYTES
from shared.model.errors import VaultlineError

CLEAN = "clean"
TOOL_SECONDS = 120
_SYSTEM_FOLDERS = "/usr/sbin:/sbin:/usr/local/sbin:/opt/homebrew/opt/e2fsprogs/sbin"
"""Where e2fsprogs lies when it is not on a person's PATH."""
_ENVIRONMENT = {"LC_ALL": "C"}
_ABSENT = "File not found by ext2_lookup"


class ToolMissing(VaultlineError):
    """A program that the demo needs is not installed."""

    code = "ToolMissing"
    action = "Install the package e2fsprogs (e.g. `sudo apt-get install e2fsprogs`); run it again."


class ToolFailed(VaultlineError):
    """A program of e2fsprogs refused its work."""

    code = "ToolFailed"
    action = "See that there is room on this machine's disk, then run it again with --keep."


@dataclass(frozen=True, kw_only=True)
class FileSystems:
    """The tools, by their paths; every method works on a file system in an image file."""

    mke2fs: str
    debugfs: str
    e2fsck: str

    def make(self, image: Path, size_mib: int, tree: Path) -> None:
        """A new ext4 file system that holds the files below `tree`. Raises `ToolFailed`."""
        options = ("-q", "-F", "-t", "ext4", "-b", str(BLOCK_BYTES), "-d", str(tree))
        _succeed([self.mke2fs, *options, str(image), f"{size_mib}M"])
        self._settle(image)

    def edit(self, image: Path, edit: Edit) -> None:
        """Makes the edit; what it frees reads as zeros afterwards, as after a trim. Raises
        `ToolFailed`."""
        with TemporaryDirectory(dir=image.parent) as name:
            folder = Path(name)
            for number, content in enumerate(edit.written.values()):
                (folder / str(number)).write_bytes(content)
            (folder / "script").write_text(debugfs_script(edit))
            # It exits with 0 whatever becomes of a script's commands; errors it only says.
            done = _run([self.debugfs, "-w", "-f", "script", str(image.absolute())], folder)
            if said := _complaints(done):
                raise ToolFailed(f"debugfs: {said}")
        self._settle(image)

    def check(self, image: Path) -> str:
        """`clean`, or what is wrong with the file system. Changes nothing."""
        done = _run([self.e2fsck, "-fn", str(image)])
        return CLEAN if done.returncode == 0 else _last_words(done)

    def extract(self, image: Path, path: str) -> bytes | None:
        """A file's bytes; None where there is no such file. Raises `ToolFailed`."""
        with TemporaryDirectory(dir=image.parent) as folder:
            out = Path(folder) / "file"
            done = _run(
                [self.debugfs, "-R", f"dump /{path} file", str(image.absolute())], out.parent
            )
            said = _complaints(done)
            if said and _ABSENT not in said:
                raise ToolFailed(f"debugfs: {said}")
            return None if said else out.read_bytes()

    def _settle(self, image: Path) -> None:
        """Leaves nothing in free blocks. A check that improves anything (it packs directories)
        discards no block, hence one before."""
        _run([self.e2fsck, "-fy", str(image)])
        _succeed([self.e2fsck, "-fy", "-E", "discard", str(image)])


def find_file_systems() -> FileSystems:
    """The tools, wherever this machine has them. Raises `ToolMissing`."""
    return FileSystems(mke2fs=_find("mke2fs"), debugfs=_find("debugfs"), e2fsck=_find("e2fsck"))


def _find(tool: str) -> str:
    found = shutil.which(tool) or shutil.which(tool, path=_SYSTEM_FOLDERS)
    if found is None:
        raise ToolMissing(f"{tool} is not installed on this machine")
    return found


def _run(argv: Sequence[str], folder: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=folder,
        env=_ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        timeout=TOOL_SECONDS,
    )


def _succeed(argv: Sequence[str]) -> None:
    done = _run(argv)
    if done.returncode != 0:
        raise ToolFailed(f"{Path(argv[0]).name} ended with {done.returncode}: {_last_words(done)}")


def _complaints(done: subprocess.CompletedProcess[str]) -> str:
    """What `debugfs` says besides its name and version."""
    lines = done.stderr.splitlines()
    return "; ".join(line for line in lines if line and not line.startswith("debugfs 1"))


def _last_words(done: subprocess.CompletedProcess[str]) -> str:
    said = (done.stdout + done.stderr).split("\n")
    return "; ".join([line for line in said if line][-5:]) or f"exit status {done.returncode}"
