"""Which files the demo's disk holds, and what becomes of them."""

from pathlib import Path

from cli.demo.edits import ROUNDS, Edit, after, debugfs_script, plan_edits
from cli.demo.files import FileEntry, fitting, lay_out, listed
from cli.demo.image import BLOCK_BYTES

FILES = [FileEntry(f"pkg/module_{number}.py", 100 * number) for number in range(200)]


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


def _edit(
    added: dict[str, bytes] | None = None,
    changed: dict[str, bytes] | None = None,
    deleted: list[str] | None = None,
) -> Edit:
    return Edit(folder="f", added=added or {}, changed=changed or {}, deleted=deleted or [])
