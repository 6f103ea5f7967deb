"""The laptop stack's commands, and the settings that other commands take from it."""

import json
from pathlib import Path

import pytest

from cli.session import blob_endpoint, environment
from local.ports import PORT_NAMES
from shared.config import read_settings
from tests.unit.cli_world import World, world

__all__ = ["world"]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty working folder, and an environment that names no state."""
    monkeypatch.chdir(tmp_path)
    for name in ("VAULTLINE_STATE", "VAULTLINE_DATA_DIR", "ServiceBusConnection"):
        monkeypatch.delenv(name, raising=False)
    return tmp_path


def started(data_dir: Path) -> None:
    """As `local up` leaves it."""
    data_dir.mkdir()
    ports = {name: 20000 + index for index, name in enumerate(PORT_NAMES)}
    (data_dir / "stack.json").write_text(json.dumps({"ports": ports}), encoding="utf-8")


def test_settings_come_from_the_stack_in_this_folder(folder: Path) -> None:
    started(folder / ".vaultline")
    settings = read_settings(environment())
    assert set(settings.accounts) == {"vlsource", "vlvault"}
    assert "sb://127.0.0.1:" in settings.service_bus
    assert settings.telemetry == f"file:{folder / '.vaultline' / 'telemetry'}"


def test_the_environment_wins(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    started(folder / ".vaultline")
    monkeypatch.setenv("VAULTLINE_TELEMETRY", "off")
    assert read_settings(environment()).telemetry == "off"
    monkeypatch.setenv("VAULTLINE_STATE", "https://acct.table.core.windows.net")
    assert "VAULTLINE_ACCOUNTS" not in environment()


def test_without_settings_or_stack_a_command_says_what_to_do() -> None:
    error = World().error("items", live=True)
    assert error["code"] == "InvalidInput"
    assert "vaultline local up" in error["recommended_action"]


@pytest.mark.parametrize(
    ("account", "endpoint"),
    [
        ("https://acct.blob.core.windows.net/", "https://acct.blob.core.windows.net"),
        (
            "AccountName=a;AccountKey=k==;BlobEndpoint=http://127.0.0.1:1/a;",
            "http://127.0.0.1:1/a",
        ),
        (
            "DefaultEndpointsProtocol=https;AccountName=a;AccountKey=k==;EndpointSuffix=x.net",
            "https://a.blob.x.net",
        ),
        ("AccountName=a;AccountKey=k==", "https://a.blob.core.windows.net"),
    ],
)
def test_blob_endpoints(account: str, endpoint: str) -> None:
    assert blob_endpoint(account) == endpoint


def test_status_and_down_where_nothing_was_started(world: World) -> None:
    states = {view["name"]: view["state"] for view in world.json("local", "status")}
    assert states == dict.fromkeys(("storage", "service-bus", "arm", "host"), "stopped")
    assert world.json("local", "down") == {"stopped": []}
    assert "nothing was running" in world.vaultline("local", "down").stdout


def test_env_prints_the_public_shape(world: World, folder: Path) -> None:
    started(folder / "elsewhere")
    found = world.json("local", "env", "--data-dir", "elsewhere")
    assert {"service_bus", "storage", "functions_url", "data_dir"} <= found.keys()
    assert found["storage"].keys() == {"source", "vault", "state"}
    told = world.vaultline("local", "env", "--data-dir", "elsewhere").stdout
    assert f"storage.vault={found['storage']['vault']}\n" in told


def test_env_before_the_first_up_ends_with_1(world: World) -> None:
    error = world.error("local", "env", status=1)
    assert error["code"] == "NotStarted"
    assert "vaultline local up" in error["message"]


@pytest.mark.parametrize("ports", ["storage", "storage=", "storage=0", "storage=x", "=1"])
def test_a_wrong_port_is_bad_input(world: World, ports: str) -> None:
    assert "--port" in world.error("local", "up", "--port", ports)["message"]
