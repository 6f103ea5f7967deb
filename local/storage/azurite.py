"""The laptop's blob, table and queue storage: Azurite with the gap-filler loaded into it.

Three accounts live in one Azurite, so that server-side copies between them work as they do between
accounts in Azure. Queues are there for Durable Functions under `func start` only.
"""

import base64
import fcntl
import hashlib
import json
import os
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from local.errors import InstallFailed
from local.node import Node

HOME = Path(__file__).parent
HOST = "127.0.0.1"
VERSION = "3.35.0"


@dataclass(frozen=True)
class Account:
    """A storage account of the laptop stack."""

    name: str

    @property
    def key(self) -> str:
        """A well-formed, fixed key. It guards nothing: the storage listens on the loopback only."""
        digest = hashlib.sha512(f"vaultline local storage: {self.name}".encode()).digest()
        return base64.b64encode(digest).decode()


SOURCE = Account("vlsource")
VAULT = Account("vlvault")
STATE = Account("vlstate")
ACCOUNTS = (SOURCE, VAULT, STATE)


@dataclass(frozen=True)
class StoragePorts:
    """The ports that the storage's services listen on."""

    blob: int
    table: int
    queue: int


@dataclass(frozen=True)
class Launch:
    """How to start a program: `env` is added to the environment it inherits."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    cwd: Path


def connection_string(account: Account, ports: StoragePorts) -> str:
    """The account's connection string: http, the account's name in the path."""
    services = (("Blob", ports.blob), ("Table", ports.table), ("Queue", ports.queue))
    endpoints = "".join(
        f"{name}Endpoint=http://{HOST}:{port}/{account.name};" for name, port in services
    )
    return (
        f"DefaultEndpointsProtocol=http;AccountName={account.name};"
        f"AccountKey={account.key};{endpoints}"
    )


def blob_endpoint(ports: StoragePorts) -> str:
    """The root of the blob service, without an account."""
    return f"http://{HOST}:{ports.blob}"


def launch(
    node: Node, ports: StoragePorts, data_dir: Path, *, faults: bool = False, tied: bool = False
) -> Launch:
    """The command that serves `data_dir`; SIGTERM ends it with everything written to disk.

    With `faults`, the process takes scripted faults (`local.storage.controls`); `tied`, it ends
    when its standard input does.
    """
    services = (("blob", ports.blob), ("table", ports.table), ("queue", ports.queue))
    listening = [
        part
        for name, port in services
        for part in (f"--{name}Host", HOST, f"--{name}Port", str(port))
    ]
    return Launch(
        argv=(
            str(node.executable),
            "--require",
            str(HOME / "gapfill" / "index.js"),
            str(HOME / "node_modules" / "azurite" / "dist" / "src" / "azurite.js"),
            *listening,
            *("--location", str(data_dir)),
            *("--skipApiVersionCheck", "--disableTelemetry", "--silent"),
        ),
        env={
            "AZURITE_ACCOUNTS": ";".join(f"{each.name}:{each.key}" for each in ACCOUNTS),
            **({"VAULTLINE_STORAGE_FAULTS": "1"} if faults else {}),
            **({"VAULTLINE_STORAGE_TIED": "1"} if tied else {}),
        },
        cwd=HOME,
    )


def ensure_installed(node: Node) -> None:
    """Installs the pinned Azurite where it is missing; safe to call from several processes.

    Raises InstallFailed with npm's last words.
    """
    with (HOME / "package.json").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not _installed():
            _npm_ci(node)


def _installed() -> bool:
    # npm writes this file last, so an interrupted install is not taken for a whole one.
    with suppress(FileNotFoundError, ValueError, KeyError):
        listing = json.loads((HOME / "node_modules" / ".package-lock.json").read_text())
        return bool(listing["packages"]["node_modules/azurite"]["version"] == VERSION)
    return False


def _npm_ci(node: Node) -> None:
    # npm's own scripts start `node` by name, also where it is not on PATH.
    path = os.pathsep.join((str(node.executable.parent), os.environ.get("PATH", "")))
    done = subprocess.run(
        [*node.npm, "ci", "--no-progress"],
        cwd=HOME,
        env={**os.environ, "PATH": path},
        capture_output=True,
        text=True,
    )
    if done.returncode != 0:
        raise InstallFailed("\n".join((done.stdout + done.stderr).splitlines()[-20:]))
