"""Real file systems in image files, where e2fsprogs is installed."""

from pathlib import Path

import pytest

from cli.demo.edits import Edit
from cli.demo.filesystem import CLEAN, FileSystems, ToolFailed, ToolMissing, find_file_systems
from cli.demo.image import BLOCK_BYTES, differences, survey
from shared.model.ranges import Change


def _installed() -> bool:
    try:
        find_file_systems()
    except ToolMissing:
        return False
    return True


needs_tools = pytest.mark.skipif(not _installed(), reason="e2fsprogs is not installed")


@needs_tools
def test_a_file_system_is_made_edited_and_looked_into(tmp_path: Path) -> None:
    tools, image = find_file_systems(), tmp_path / "disk.img"
    kept, gone = bytes(range(256)) * 64, b"g" * 40 * BLOCK_BYTES
    (tmp_path / "tree").mkdir()
    for name, content in (("kept", kept), ("gone", gone), ("old", b"before")):
        (tmp_path / "tree" / name).write_bytes(content)
    tools.make(image, 16, tmp_path / "tree")
    before = survey(image)
    assert tools.check(image) == CLEAN
    assert tools.extract(image, "gone") == gone

    tools.edit(image, _edit(added={"f/new": b"n"}, changed={"old": b"after"}, deleted=["gone"]))

    assert tools.check(image) == CLEAN
    held = {path: tools.extract(image, path) for path in ("kept", "gone", "old", "f/new")}
    assert held == {"kept": kept, "gone": None, "old": b"after", "f/new": b"n"}
    changes = differences(before.blocks, survey(image).blocks)
    cleared = [each.range.size_bytes for each in changes if each.change is Change.CLEARED]
    assert sum(cleared) >= len(gone) * 0.9
    assert sorted(path.name for path in tmp_path.iterdir()) == ["disk.img", "tree"]


@needs_tools
def test_a_damaged_file_system_is_not_clean(tmp_path: Path) -> None:
    tools, image = find_file_systems(), tmp_path / "disk.img"
    (tmp_path / "tree").mkdir()
    tools.make(image, 16, tmp_path / "tree")
    with image.open("r+b") as file:
        file.seek(BLOCK_BYTES)
        file.write(b"\xff" * 64)
    assert tools.check(image) not in ("", CLEAN)


@needs_tools
def test_what_debugfs_refuses_is_an_error(tmp_path: Path) -> None:
    tools, image = find_file_systems(), tmp_path / "disk.img"
    (tmp_path / "tree").mkdir()
    tools.make(image, 16, tmp_path / "tree")
    with pytest.raises(ToolFailed, match="File not found"):
        tools.edit(image, _edit(deleted=["never-there"]))
    with pytest.raises(ToolFailed, match="mke2fs ended with"):
        tools.make(image, 1, tmp_path / "nothing-here")


def test_missing_tools_are_named_with_their_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    with pytest.raises(ToolMissing, match="mke2fs") as refused:
        find_file_systems()
    assert "e2fsprogs" in refused.value.action


def test_tools_are_found_in_system_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """They need not be on the PATH of a person who is not root."""

    def which(name: str, path: str | None = None) -> str | None:
        return f"/sbin/{name}" if path and "/sbin" in path.split(":") else None

    monkeypatch.setattr("shutil.which", which)
    expected = FileSystems(mke2fs="/sbin/mke2fs", debugfs="/sbin/debugfs", e2fsck="/sbin/e2fsck")
    assert find_file_systems() == expected


def _edit(
    added: dict[str, bytes] | None = None,
    changed: dict[str, bytes] | None = None,
    deleted: list[str] | None = None,
) -> Edit:
    return Edit(folder="f", added=added or {}, changed=changed or {}, deleted=deleted or [])
