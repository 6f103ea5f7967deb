"""Which files the demo's disk holds, and what becomes of them; real file systems where e2fsprogs
is installed."""

import shutil
from pathlib import Path

import pytest

from cli.demo import filesystem
from cli.demo.edits import ROUNDS, Edit, after, debugfs_script, plan_edits
from cli.demo.files import FileEntry, fitting, lay_out, listed
from cli.demo.filesystem import CLEAN, FileSystems, ToolFailed, ToolMissing, find_file_systems
from cli.demo.image import BLOCK_BYTES, differences, survey
from shared.model.ranges import Change

FILES = [FileEntry(f"pkg/module_{number}.py", 100 * number) for number in range(200)]
NO_TOOLS = shutil.which("mke2fs") is None and not Path("/sbin/mke2fs").exists()
needs_tools = pytest.mark.skipif(NO_TOOLS, reason="e2fsprogs is not installed")


def test_only_plain_regular_files_of_the_library_are_listed(tmp_path: Path) -> None:
    for path in ("a.py", "pkg/b.py", "site-packages/c.py", "odd name.py", 'quote".py'):
        (tmp_path / path).parent.mkdir(exist_ok=True)
        (tmp_path / path).write_text(path)
    (tmp_path / "link.py").symlink_to("a.py")
    assert listed(tmp_path) == [FileEntry("a.py", 4), FileEntry("pkg/b.py", 8)]


def test_files_that_fit_are_taken_and_laid_out(tmp_path: Path) -> None:
    large, small = FileEntry("large", 5 * BLOCK_BYTES), FileEntry("x/small", 1)
    assert fitting([small, large, small], 4 * BLOCK_BYTES) == [small, small]
    assert fitting([small], 2 * BLOCK_BYTES - 1) == []
    (tmp_path / "x").mkdir()
    (tmp_path / "x/small").write_bytes(b"!")
    lay_out(tmp_path, [small], tmp_path / "tree")
    assert (tmp_path / "tree/x/small").read_bytes() == b"!"


def test_edits_add_change_and_delete_and_no_two_touch_a_file() -> None:
    edits = plan_edits(FILES, 40_000)
    assert len(edits) == ROUNDS
    touched = [path for edit in edits for path in (*edit.written, *edit.deleted)]
    assert len(touched) == len(set(touched))
    known = {file.path: file.size_bytes for file in FILES}
    for edit in edits:
        assert set(edit.deleted) <= known.keys()
        assert all(len(new) > known[path] for path, new in edit.changed.items())
        assert not edit.added.keys() & known.keys()
        assert sum(map(len, edit.added.values())) == 40_000
    assert plan_edits(FILES, 40_000) == edits


def test_what_files_hold_after_an_edit() -> None:
    before = {"old": b"1", "gone": b"2", "kept": b"3", "new": None}
    edit = _edit(added={"new": b"n"}, changed={"old": b"o"}, deleted=["gone"])
    assert after(before, edit) == {"old": b"o", "gone": None, "kept": b"3", "new": b"n"}


def test_the_script_frees_last() -> None:
    edit = _edit(added={"f/new": b"n"}, changed={"old": b"o"}, deleted=["gone"])
    assert debugfs_script(edit).splitlines() == [
        "mkdir /f",
        "rm /old",
        "write 0 /f/new",
        "write 1 /old",
        "rm /gone",
    ]


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
    monkeypatch.setattr(filesystem.shutil, "which", lambda *_, **__: None)
    with pytest.raises(ToolMissing, match="mke2fs") as refused:
        find_file_systems()
    assert "e2fsprogs" in refused.value.action


def test_tools_are_found_in_system_folders(monkeypatch: pytest.MonkeyPatch) -> None:
    """They need not be on the PATH of a person who is not root."""

    def which(name: str, path: str | None = None) -> str | None:
        return f"/sbin/{name}" if path and "/sbin" in path.split(":") else None

    monkeypatch.setattr(filesystem.shutil, "which", which)
    expected = FileSystems(mke2fs="/sbin/mke2fs", debugfs="/sbin/debugfs", e2fsck="/sbin/e2fsck")
    assert find_file_systems() == expected


def _edit(
    added: dict[str, bytes] | None = None,
    changed: dict[str, bytes] | None = None,
    deleted: list[str] | None = None,
) -> Edit:
    return Edit(folder="f", added=added or {}, changed=changed or {}, deleted=deleted or [])
