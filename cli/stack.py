"""`local up`, `down`, `status`, `env` and `settings`: the laptop stack."""

from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer

from cli.columns import COMPONENTS
from cli.output import AsJson, say, show_json, show_list, terminal, utc
from local import stack
from local.components import Component, StackConfig
from shared.model.errors import Invalid

local = typer.Typer(no_args_is_help=True, help="The laptop stack: start, stop, look at it.")

DataDir = Annotated[
    Path | None,
    typer.Option("--data-dir", help="Its folder; VAULTLINE_DATA_DIR, or else .vaultline, if left."),
]


Only = Annotated[
    list[Component] | None,
    typer.Option("--only", help="This part alone; may be repeated."),
]


@local.command("up")
def up(
    data_dir: DataDir = None,
    only: Only = None,
    port: Annotated[
        list[str] | None,
        typer.Option("--port", metavar="NAME=PORT", help="Ask for a port; may be repeated."),
    ] = None,
    setting: Annotated[
        list[str] | None,
        typer.Option("--setting", metavar="NAME=VALUE", help="Set one of the app's settings."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Start what is not running, and wait until it is ready."""
    ports = {name: _number(name, text) for name, text in _pairs("--port", port).items()}
    config = stack.stack_config(data_dir, ports=ports, settings=_pairs("--setting", setting))
    with terminal(errors=True).status("Starting the laptop stack"):
        started = stack.up(config, only=only)
    _show(started.as_json(), "The stack is up.", as_json=as_json)


@local.command("down")
def down(data_dir: DataDir = None, only: Only = None, as_json: AsJson = False) -> None:
    """Stop the stack. What it stores stays."""
    stopped = stack.down(stack.stack_config(data_dir), only=only)
    text = f"Stopped: {', '.join(stopped) or 'nothing was running'}."
    _show({"stopped": stopped}, text, as_json=as_json)


@local.command("status")
def status(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Say how each part of the stack is."""
    found = stack.status(stack.stack_config(data_dir))
    views = [{**asdict(each), "since": each.since and utc(each.since)} for each in found]
    show_list(views, COMPONENTS, as_json=as_json, empty="There is no stack.")


@local.command("env")
def env(data_dir: DataDir = None, as_json: AsJson = False) -> None:
    """Print the stack's addresses and connection strings."""
    found = stack.environment(stack.stack_config(data_dir)).as_json()
    lines = [f"{name}={value}" for name, value in _flat(found).items()]
    _show(found, "\n".join(lines), as_json=as_json)


@local.command("settings")
def settings(
    data_dir: DataDir = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file.")] = False,
    as_json: AsJson = False,
) -> None:
    """Write local.settings.json, so that `func start` runs the app against this stack."""
    config: StackConfig = stack.stack_config(data_dir)
    path = config.root / "local.settings.json"
    stack.write_local_settings(config, path, force=force)
    _show({"path": str(path)}, f"Wrote {path}.", as_json=as_json)


def _show(answer: Any, text: str, *, as_json: bool) -> None:
    if as_json:
        show_json(answer)
    else:
        say(text)


def _pairs(option: str, given: list[str] | None) -> dict[str, str]:
    """`NAME=VALUE` options. Raises `Invalid`."""
    pairs = [text.partition("=") for text in given or []]
    if any(not (name and separator) for name, separator, _ in pairs):
        raise Invalid(f"{option} takes NAME=VALUE")
    return {name: value for name, _, value in pairs}


def _number(name: str, text: str) -> int:
    if not text.isdecimal() or not 0 < int(text) < 65536:
        raise Invalid(f"--port {name} must be a whole number from 1 to 65535")
    return int(text)


def _flat(values: dict[str, object], prefix: str = "") -> dict[str, object]:
    """Nested names joined by dots, e.g. `storage.vault`."""
    flat: dict[str, object] = {}
    for name, value in values.items():
        if isinstance(value, dict):
            flat |= _flat(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
