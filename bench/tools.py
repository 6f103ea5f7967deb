"""Other people's backup tools, installed outside the project by the usual clients, without root.

Debian's packages are unpacked, not installed. What cannot be had is told with what was tried.
"""

import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import gettempdir

DEFAULT_FOLDER = Path(gettempdir()) / "vaultline-bench-tools"
BENJI = "benji==0.17.0"
BENJI_NEEDS = (
    "PrettyTable<1",
    "alembic<2",
    "argcomplete<2",
    "attrs<22",
    "cerberus<2",
    "colorama",
    "dateparser<2",
    "diskcache",
    "psycopg2-binary<3",
    "pycryptodome<4",
    "pyparsing<3",
    "python-dateutil<3",
    "ruamel.yaml>=0.17,<0.18",
    "semantic-version<3",
    "setproctitle<2",
    "setuptools<81",
    "sparsebitfield<1",
    "sqlalchemy>=1.4.14,<2",
    "structlog",
)
"""Its own dependencies but for ruamel.yaml: the one that it pins does not build for Python 3.11."""
DEBIAN = ("restic", "borgbackup", "python3-msgpack", "python3-packaging", "libsecret-1-0")


_VERSION = re.compile(r"\d+\.\d+\.\d+")


class Missing(Exception):
    """A tool that cannot be had here, and what was tried."""


@dataclass(frozen=True)
class Tool:
    """How a tool is called: its first words, and what its environment has besides ours."""

    argv: Sequence[str]
    env: Mapping[str, str] = field(default_factory=dict)
    version: str = ""


def azcopy(folder: Path) -> Tool:
    """AzCopy, as Microsoft ships it for npm."""
    home, libraries = folder / "npm", _debian(folder) / "usr/lib/x86_64-linux-gnu"
    package = home / "node_modules/@azure-tools/azcopy-linux"
    if not package.exists():
        home.mkdir(parents=True, exist_ok=True)
        flags = ("--no-audit", "--no-fund", "--ignore-scripts")
        _try(["npm", "install", *flags, "@azure-tools/azcopy-linux"], cwd=home)
    binary = next((package / "dist/bin").glob("azcopy_linux_*64"))
    binary.chmod(0o755)
    return _known([str(binary)], {"LD_LIBRARY_PATH": str(libraries)})


def restic(folder: Path) -> Tool:
    """restic, as Debian has it."""
    return _known([str(_debian(folder) / "usr/bin/restic")], {}, "version")


def borg(folder: Path) -> Tool:
    """BorgBackup, as Debian has it; from PyPI it wants to be compiled against system libraries."""
    root = _debian(folder)
    env = {
        "PYTHONPATH": str(root / "usr/lib/python3/dist-packages"),
        "LD_LIBRARY_PATH": str(root / "usr/lib/x86_64-linux-gnu"),
        "BORG_BASE_DIR": str(folder / "borg"),
        "BORG_UNKNOWN_UNENCRYPTED_REPO_ACCESS_IS_OK": "yes",
    }
    return _known(["/usr/bin/python3", str(root / "usr/bin/borg")], env)


def benji(folder: Path) -> Tool:
    """Benji, from PyPI, in an environment of its own."""
    home = folder / "benji"
    if not (home / "bin/benji").exists():
        _try([sys.executable, "-m", "venv", str(home)])
        pip = [str(home / "bin/pip"), "install", "--quiet", "--disable-pip-version-check"]
        _try([*pip, *BENJI_NEEDS])
        _try([*pip, "--no-deps", BENJI])
    return Tool([str(home / "bin/benji")], {}, BENJI.partition("==")[2])


INSTALL: Mapping[str, Callable[[Path], Tool]] = {
    "AzCopy": azcopy,
    "restic": restic,
    "BorgBackup": borg,
    "Benji": benji,
}


def _debian(folder: Path) -> Path:
    """Where Debian's packages are unpacked."""
    root = folder / "debian"
    if not (root / "usr/bin/borg").exists():
        root.mkdir(parents=True, exist_ok=True)
        _try(["apt-get", "download", *DEBIAN], cwd=folder)
        for package in sorted(folder.glob("*.deb")):
            _try(["dpkg", "-x", str(package), str(root)])
    return root


def _known(argv: Sequence[str], env: Mapping[str, str], ask: str = "--version") -> Tool:
    version = _VERSION.search(_try([*argv, ask], env=env))
    return Tool(argv, env, version.group() if version else "")


def _try(
    command: Sequence[str], *, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> str:
    """What the command prints. Raises `Missing` where it cannot be run, or fails."""
    try:
        done = subprocess.run(
            command,
            cwd=cwd,
            env={**os.environ, **(env or {})},
            check=True,
            capture_output=True,
            text=True,
            timeout=300,
        )
    except (OSError, subprocess.SubprocessError) as error:
        said = getattr(error, "stderr", None) or str(error)
        raise Missing(f"{' '.join(command[:3])} …: {str(said).strip()[-300:]}") from None
    return done.stdout
