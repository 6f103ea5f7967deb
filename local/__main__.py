"""`python -m local`: the stack without the rest of the command line."""

import argparse
import json
import sys
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path

from local import stack
from local.components import StackConfig
from local.errors import StackError

Answer = tuple[object, str]


def _up(config: StackConfig, _: argparse.Namespace) -> Answer:
    return stack.up(config).as_json(), "The stack is up."


def _down(config: StackConfig, _: argparse.Namespace) -> Answer:
    stopped = stack.down(config)
    return {"stopped": stopped}, f"Stopped: {', '.join(stopped) or 'nothing was running'}."


def _status(config: StackConfig, _: argparse.Namespace) -> Answer:
    rows = stack.status(config)
    lines = [f"{row.name:<12} {row.state:<8} pid {row.pid} port {row.port}" for row in rows]
    return [asdict(row) for row in rows], "\n".join(lines)


def _env(config: StackConfig, _: argparse.Namespace) -> Answer:
    answer = stack.environment(config).as_json()
    return answer, json.dumps(answer, indent=2)


def _settings(config: StackConfig, options: argparse.Namespace) -> Answer:
    path = config.root / "local.settings.json"
    stack.write_local_settings(config, path, force=options.force)
    return {"path": str(path)}, f"Wrote {path}."


COMMANDS: dict[str, Callable[[StackConfig, argparse.Namespace], Answer]] = {
    "up": _up,
    "down": _down,
    "status": _status,
    "env": _env,
    "settings": _settings,
}


def main(argv: list[str] | None = None) -> int:
    """Runs one command; 0 done, 1 it failed, 2 bad usage."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    parser.add_argument("command", choices=COMMANDS)
    parser.add_argument("--data-dir", type=Path)
    parser.add_argument("--root", type=Path, help="the folder of function_app.py")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--force", action="store_true", help="settings: replace the file")
    options = parser.parse_args(argv)
    try:
        config = stack.stack_config(options.data_dir, root=options.root)
        answer, text = COMMANDS[options.command](config, options)
    except StackError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    sys.stdout.write(f"{json.dumps(answer, default=str) if options.json else text}\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
