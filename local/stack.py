"""The laptop stack: storage, Service Bus, Resource Manager and functions host as one thing to
start and stop.

Everything it knows lies in the data folder: `stack.json` (ports), `run/` (processes), `logs/`, and
a folder for each component. Processes outlive the caller; `down` ends them all.
"""

import fcntl
import json
import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from pathlib import Path
from typing import Literal

from local import processes
from local.components import ROLES, Component, StackConfig, functions_url
from local.errors import AlreadyRunning, ComponentFailed, NotStarted, StackError
from local.node import find_node
from local.ports import PORT_NAMES, Ports, choose_ports
from local.processes import ProcessRecord, Program, is_alive, log_tail, recorded
from local.settings import (
    SUBSCRIPTION,
    app_settings,
    arm_endpoint,
    service_bus_connection,
    write_core_tools_settings,
)
from local.storage.azurite import (
    SOURCE,
    STATE,
    VAULT,
    blob_endpoint,
    connection_string,
    ensure_installed,
)

READY_SECONDS = 60.0
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class StorageConnections:
    """Connection strings of the three accounts."""

    source: str
    vault: str
    state: str


@dataclass(frozen=True)
class Environment:
    """What a client of the stack needs; the public shape of `vaultline local env --json`.

    `storage_url` is the root of the blob service, whose counters `local.storage.controls` reads;
    `arm_url` Resource Manager's, in which `subscription` is the app's.
    """

    service_bus: str
    storage: StorageConnections
    storage_url: str
    arm_url: str
    subscription: str
    functions_url: str
    data_dir: str

    def as_json(self) -> dict[str, object]:
        """The same as plain values."""
        return asdict(self)


@dataclass(frozen=True)
class ProcessStatus:
    """One component: `unready` runs but does not answer, `died` ended without being stopped.

    `port` is None before the first start; `pid` and `since` (UTC) are None where nothing runs.
    """

    name: str
    state: Literal["running", "unready", "died", "stopped"]
    pid: int | None
    port: int | None
    since: datetime | None


def stack_config(
    data_dir: Path | None = None,
    *,
    root: Path | None = None,
    ports: Mapping[str, int] | None = None,
    settings: Mapping[str, str] | None = None,
    faults: bool = False,
) -> StackConfig:
    """The configuration of a stack.

    The data folder is, where not given, VAULTLINE_DATA_DIR or else `.vaultline` in the current
    folder; the app is the one this package came with. Raises StackError for an unknown port name.
    """
    unknown = set(ports or {}) - set(PORT_NAMES)
    if unknown:
        names = ", ".join(PORT_NAMES)
        raise StackError(
            f"There is no port named {', '.join(sorted(unknown))}; use one of {names}."
        )
    chosen = data_dir or Path(os.environ.get("VAULTLINE_DATA_DIR") or ".vaultline")
    return StackConfig(
        data_dir=chosen.absolute(),
        root=(root or Path(__file__).parent.parent).absolute(),
        ports=dict(ports or {}),
        settings=dict(settings or {}),
        faults=faults,
    )


def up(
    config: StackConfig,
    *,
    only: Iterable[Component] | None = None,
    settings: Mapping[str, str] | None = None,
    ready_seconds: float = READY_SECONDS,
) -> Environment:
    """Starts what is not running and waits until it is ready; what runs already is left alone.

    `only` starts just these components; `settings` win over the configuration's. Where one fails,
    those that this call started are stopped again. Raises PortTaken, AlreadyRunning, NodeMissing,
    InstallFailed, ComponentFailed.
    """
    config = replace(config, settings={**config.settings, **(settings or {})})
    asked = set(Component if only is None else only)
    with _exclusive(config):
        before = _running(config)
        ports = _settle_ports(config, before)
        # A host that was stopped because addresses changed comes back even where not asked for.
        wanted = asked | before
        missing = [each for each in Component if each in wanted - _running(config)]
        if Component.STORAGE in missing:
            ensure_installed(find_node())
        _start_all(config, ports, missing, ready_seconds)
    return _environment(config, ports)


def down(config: StackConfig, *, only: Iterable[Component] | None = None) -> list[str]:
    """Stops the components, last started first; answers the names of those that were running."""
    if not config.data_dir.exists():
        return []
    asked = set(Component if only is None else only)
    with _exclusive(config):
        return [str(each) for each in reversed(Component) if each in asked and _stop(config, each)]


def status(config: StackConfig) -> list[ProcessStatus]:
    """How each component is now."""
    ports = _saved_ports(config)
    return [_status(config, each, ports) for each in Component]


def environment(config: StackConfig) -> Environment:
    """The stack's addresses, running or not. Raises NotStarted before the first `up`."""
    return _environment(config, _known_ports(config))


def settings(config: StackConfig) -> dict[str, str]:
    """The app's settings against this stack. Raises NotStarted before the first `up`."""
    return app_settings(_known_ports(config), config.data_dir, config.settings)


def write_local_settings(config: StackConfig, path: Path, *, force: bool = False) -> None:
    """Writes `local.settings.json` for `func start` against this stack.

    Raises NotStarted before the first `up`, SettingsExist where a file is there and not `force`.
    """
    write_core_tools_settings(path, settings(config), force=force)


@contextmanager
def _exclusive(config: StackConfig) -> Iterator[None]:
    """One `up` or `down` at a time in a data folder."""
    config.data_dir.mkdir(parents=True, exist_ok=True)
    with (config.data_dir / "stack.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _saved_ports(config: StackConfig) -> Ports | None:
    try:
        return Ports(**json.loads((config.data_dir / "stack.json").read_text())["ports"])
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def _known_ports(config: StackConfig) -> Ports:
    ports = _saved_ports(config)
    if ports is None:
        raise NotStarted(str(config.data_dir))
    return ports


def _running(config: StackConfig) -> set[Component]:
    return {each for each in Component if is_alive(recorded(config.run_dir, each))}


def _settle_ports(config: StackConfig, running: set[Component]) -> Ports:
    """The ports of this run, saved; a host that knows other ones is stopped, to start anew."""
    saved = _saved_ports(config)
    in_use = [name for each in running for name in ROLES[each].port_names] if saved else []
    for name in in_use:
        current = getattr(saved, name)
        if config.ports.get(name, current) != current:
            raise AlreadyRunning(name, config.ports[name], current)
    ports = choose_ports(config.ports, saved, in_use)
    if ports != saved and Component.HOST in running:
        _stop(config, Component.HOST)
    (config.data_dir / "stack.json").write_text(json.dumps({"ports": asdict(ports)}, indent=2))
    return ports


def _start_all(
    config: StackConfig, ports: Ports, missing: list[Component], ready_seconds: float
) -> None:
    started: list[Component] = []
    try:
        for component in missing:
            program = ROLES[component].program(config, ports)
            record = processes.start(program, config.run_dir)
            started.append(component)
            _await_ready(component, program, record, ports, ready_seconds)
    except BaseException:
        for component in reversed(started):
            _stop(config, component)
        raise


def _await_ready(
    component: Component,
    program: Program,
    record: ProcessRecord,
    ports: Ports,
    ready_seconds: float,
) -> None:
    deadline = time.monotonic() + ready_seconds
    while not (is_alive(record) and ROLES[component].is_ready(ports)):
        if not is_alive(record):
            what = "ended right after its start"
        elif time.monotonic() > deadline:
            what = f"was not ready within {ready_seconds:.0f} s"
        else:
            time.sleep(POLL_SECONDS)
            continue
        raise ComponentFailed(component, what, str(program.log), log_tail(program, record))


def _stop(config: StackConfig, component: Component) -> bool:
    return processes.stop(config.run_dir, component, ROLES[component].grace_seconds)


def _status(config: StackConfig, component: Component, ports: Ports | None) -> ProcessStatus:
    role, record = ROLES[component], recorded(config.run_dir, component)
    port = getattr(ports, role.port_names[0]) if ports else None
    if record is None or ports is None:
        return ProcessStatus(component.value, "stopped", None, port, None)
    if not is_alive(record):
        return ProcessStatus(component.value, "died", None, port, None)
    state: Literal["running", "unready"] = "running" if role.is_ready(ports) else "unready"
    return ProcessStatus(component.value, state, record.pid, port, record.since)


def _environment(config: StackConfig, ports: Ports) -> Environment:
    return Environment(
        service_bus=service_bus_connection(ports),
        storage=StorageConnections(
            source=connection_string(SOURCE, ports.storage),
            vault=connection_string(VAULT, ports.storage),
            state=connection_string(STATE, ports.storage),
        ),
        storage_url=blob_endpoint(ports.storage),
        arm_url=arm_endpoint(ports),
        subscription=SUBSCRIPTION,
        functions_url=functions_url(ports),
        data_dir=str(config.data_dir),
    )
