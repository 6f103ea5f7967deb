"""``python -m local.host``: run a function app in the foreground until SIGTERM or SIGINT."""

import argparse
import asyncio
import fcntl
import logging
import os
import signal
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

from local.host.host import ADDRESS, FunctionsHost, HostOptions
from local.host.loading import AppLoadError, load_app
from local.host.log import configure
from local.host.settings import AppSettings, SettingsError, read_host_json


class HostStartError(Exception):
    """The host cannot start; the message says why."""


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit status: 0 after a drain, 1 when the host could not start."""
    options = _parser().parse_args(arguments)
    try:
        with _exclusive(options.data_dir):
            clean = _run(options)
    except (HostStartError, AppLoadError, SettingsError) as error:
        for line in str(error).splitlines():
            print(f"functions host: {line}", file=sys.stderr)
        return 1
    if not clean:
        # An abandoned sync function still holds a thread that Python would wait for.
        logging.shutdown()
        os._exit(0)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m local.host", description=__doc__)
    parser.add_argument("--app-dir", type=Path, required=True, help="folder of function_app.py")
    parser.add_argument("--data-dir", type=Path, required=True, help="the host's own state")
    parser.add_argument("--port", type=int, required=True)
    parser.add_argument(
        "--drain-seconds", type=float, default=30.0, help="how long SIGTERM waits for functions"
    )
    return parser


def _run(options: argparse.Namespace) -> bool:
    app_dir, data_dir = options.app_dir.resolve(), options.data_dir.resolve()
    settings = AppSettings(os.environ)
    host_json = read_host_json(app_dir / "host.json", settings, os.cpu_count() or 1)
    configure(host_json.log_levels)
    os.environ.setdefault("AzureWebJobsScriptRoot", str(app_dir))
    os.environ.setdefault("WEBSITE_HOSTNAME", f"{ADDRESS}:{options.port}")
    os.environ.setdefault("AZURE_FUNCTIONS_ENVIRONMENT", "Development")
    os.chdir(app_dir)  # as in Azure
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))  # nothing to drain while loading
    functions = load_app(app_dir)

    async def serve() -> bool:
        stop = asyncio.Event()
        for number in (signal.SIGTERM, signal.SIGINT):
            asyncio.get_running_loop().add_signal_handler(number, stop.set)
        where = HostOptions(data_dir, options.port, options.drain_seconds)
        host = FunctionsHost(functions, settings, host_json, where)
        try:
            return await host.run(stop)
        except OSError as error:
            raise HostStartError(
                f"cannot listen on {ADDRESS}:{options.port}: {os.strerror(error.errno or 0)}"
            ) from error

    return asyncio.run(serve())


@contextmanager
def _exclusive(data_dir: Path) -> Iterator[None]:
    """Hold the data directory; the lock ends with the process, however it ends."""
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "host.lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise HostStartError(f"another host uses {data_dir}") from None
        yield


if __name__ == "__main__":
    sys.exit(main())
