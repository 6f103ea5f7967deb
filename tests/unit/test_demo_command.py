"""`vaultline demo` where it cannot even begin. The story itself: `tests/e2e/test_demo.py`."""

import json
from pathlib import Path

import pytest
from typer.testing import CliRunner

from cli.main import app
from local.components import StackConfig
from local.errors import StackError
from tests.unit.test_demo_filesystem import needs_tools

pytestmark = pytest.mark.usefixtures("elsewhere")


@pytest.fixture
def elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def test_missing_e2fsprogs_is_told_with_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("shutil.which", lambda *_, **__: None)
    result = CliRunner().invoke(app, ["demo", "--json"])
    error = json.loads(result.stdout)["error"]
    assert (result.exit_code, error["code"]) == (1, "ToolMissing")
    assert "e2fsprogs" in error["recommended_action"]


def test_a_folder_in_use_is_refused(tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "stack.json").write_text("{}")
    result = CliRunner().invoke(app, ["demo", "--data-dir", "mine"])
    assert result.exit_code == 2
    assert "mine is no empty folder" in result.stderr
    assert sorted(path.name for path in (tmp_path / "mine").iterdir()) == ["stack.json"]


@pytest.mark.parametrize("size", ["31", "4096", "many"])
def test_sizes_have_bounds(size: str) -> None:
    assert CliRunner().invoke(app, ["demo", "--size", size]).exit_code == 2


@needs_tools
def test_a_stack_that_does_not_start_ends_the_demo(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    stopped: list[StackConfig] = []

    def fails(*_: object) -> None:
        raise StackError("no port is free")

    monkeypatch.setattr("cli.demo.command.stack.up", fails)
    monkeypatch.setattr("cli.demo.laptop.stack.down", stopped.append)
    monkeypatch.setattr("cli.demo.laptop.mkdtemp", lambda prefix: _made(tmp_path / prefix))
    result = CliRunner().invoke(app, ["demo", "--size", "32", "--json"])
    assert result.exit_code == 1
    assert json.loads(result.stdout)["error"]["message"] == "no port is free"
    assert [config.data_dir for config in stopped] == [tmp_path / "vaultline-demo-"]
    assert list(tmp_path.iterdir()) == []


@needs_tools
def test_what_is_kept_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cli.demo.laptop.mkdtemp", lambda prefix: _made(tmp_path / prefix))
    monkeypatch.setattr("cli.demo.command.build", lambda *_: 1 / 0)
    monkeypatch.setattr("cli.demo.command.stack.up", lambda *_: None)
    result = CliRunner().invoke(app, ["demo", "--keep"])
    assert isinstance(result.exception, ZeroDivisionError)
    assert (tmp_path / "vaultline-demo-" / "demo").is_dir()
    assert f"--data-dir {tmp_path / 'vaultline-demo-'}" in result.stderr


def _made(folder: Path) -> str:
    folder.mkdir()
    return str(folder)
