"""The processes of the stack: how each is started, known to be ready, and given time to end."""

import json
import os
import socket
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path

from local.node import Node, find_node
from local.ports import Ports
from local.processes import Program, python
from local.settings import app_settings
from local.storage.azurite import HOST, blob_endpoint, launch

HOST_CLIENT = "vaultline-host"
TIME_FACTOR = "VAULTLINE_LOCAL_TIME_FACTOR"
"""A setting of the laptop alone: how much faster than Azure's the Resource Manager's time runs."""
DEFAULT_TIME_FACTOR = "60"


class Component(StrEnum):
    """The components in the order they start; they stop in reverse."""

    STORAGE = "storage"
    SERVICE_BUS = "service-bus"
    ARM = "arm"
    HOST = "host"


@dataclass(frozen=True)
class StackConfig:
    """A stack: its data folder, the app it runs, and what is asked of it.

    `root` holds `function_app.py` and `infra/entities.json`. `ports` are asked for by the names of
    `Ports`; those absent are picked. `settings` are merged last into the app's settings. `faults`
    lets tests script faults into the storage.
    """

    data_dir: Path
    root: Path
    ports: Mapping[str, int]
    settings: Mapping[str, str]
    faults: bool = False

    @property
    def run_dir(self) -> Path:
        """Where the records of the processes are."""
        return self.data_dir / "run"


@dataclass(frozen=True)
class Role:
    """What the supervisor knows of a component: its port, its probe and its time to end."""

    port_names: tuple[str, ...]
    program: Callable[[StackConfig, Ports], Program]
    is_ready: Callable[[Ports], bool]
    grace_seconds: float


def _storage(config: StackConfig, ports: Ports) -> Program:
    node: Node = find_node()
    data_dir = config.data_dir / "storage"
    data_dir.mkdir(parents=True, exist_ok=True)
    command = launch(node, ports.storage, data_dir, faults=config.faults)
    return _program(config, Component.STORAGE, command.argv, command.env, command.cwd)


def _service_bus(config: StackConfig, ports: Ports) -> Program:
    entities = config.root / "infra" / "entities.json"
    data_dir = config.data_dir / "servicebus"
    data_dir.mkdir(parents=True, exist_ok=True)
    options = ("--port", str(ports.service_bus), "--entities", str(entities))
    argv = (python(), "-m", "local.servicebus", *options, "--data-dir", str(data_dir))
    return _program(config, Component.SERVICE_BUS, argv, {}, config.root)


def _arm(config: StackConfig, ports: Ports) -> Program:
    data_dir = config.data_dir / "arm"
    data_dir.mkdir(parents=True, exist_ok=True)
    options = ("--port", str(ports.arm), "--data", str(data_dir))
    storage = ("--blob-endpoint", blob_endpoint(ports.storage))
    factor = ("--time-factor", config.settings.get(TIME_FACTOR, DEFAULT_TIME_FACTOR))
    argv = (python(), "-m", "local.arm", *options, *storage, *factor)
    return _program(config, Component.ARM, argv, {}, config.root)


def _host(config: StackConfig, ports: Ports) -> Program:
    data_dir = config.data_dir / "host"
    data_dir.mkdir(parents=True, exist_ok=True)
    options = ("--app-dir", str(config.root), "--data-dir", str(data_dir))
    argv = (python(), "-m", "local.host", *options, "--port", str(ports.host))
    settings = app_settings(ports, config.data_dir, config.settings)
    # Azure's SDKs add this to their User-Agent, so the storage can count the host's requests.
    env = {"AZURE_HTTP_USER_AGENT": HOST_CLIENT, **settings}
    return _program(config, Component.HOST, argv, env, config.root)


def _program(
    config: StackConfig,
    component: Component,
    argv: tuple[str, ...],
    env: Mapping[str, str],
    cwd: Path,
) -> Program:
    # Unbuffered, so that a log tells what happened right before a death.
    whole = {**os.environ, "PYTHONUNBUFFERED": "1", **env}
    log = config.data_dir / "logs" / f"{component}.log"
    return Program(name=component, argv=argv, env=whole, cwd=cwd, log=log)


def _listens(port: int) -> bool:
    with suppress(OSError), closing(socket.create_connection((HOST, port), timeout=1)):
        return True
    return False


def functions_url(ports: Ports) -> str:
    """The root of the functions host."""
    return f"http://{HOST}:{ports.host}"


def _host_runs(ports: Ports) -> bool:
    with suppress(OSError, ValueError, urllib.error.URLError):
        url = f"{functions_url(ports)}/admin/host/status"
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310
            answered = json.load(answer)
            # A function that cannot run is in `errors`, and in the host's log with its reason.
            return answered.get("state") == "Running" and not answered.get("errors")
    return False


ROLES: Mapping[Component, Role] = {
    Component.STORAGE: Role(
        port_names=("blob", "table", "queue"),
        program=_storage,
        is_ready=lambda ports: all(map(_listens, (ports.blob, ports.queue, ports.table))),
        # Azurite writes its databases on SIGTERM; cut short, it loses the last seconds.
        grace_seconds=30,
    ),
    Component.SERVICE_BUS: Role(
        port_names=("service_bus",),
        program=_service_bus,
        is_ready=lambda ports: _listens(ports.service_bus),
        grace_seconds=10,
    ),
    Component.ARM: Role(
        port_names=("arm",),
        program=_arm,
        is_ready=lambda ports: _listens(ports.arm),
        grace_seconds=10,
    ),
    Component.HOST: Role(
        port_names=("host",), program=_host, is_ready=_host_runs, grace_seconds=15
    ),
}
