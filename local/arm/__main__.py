"""``python -m local.arm``: the fake Resource Manager in the foreground.

Prints one JSON line (``port``, ``endpoint``) once it answers. SIGTERM and SIGINT end it with
status 0; a taken port ends it with status 1 and a sentence on stderr.
"""

import argparse
import asyncio
import json
import signal
import sys
from pathlib import Path

from local.arm.app import Settings, open_server
from local.arm.server import ArmServer
from local.arm.throttling import Limits
from local.storage.azurite import ACCOUNTS, STATE


def main(arguments: list[str] | None = None) -> int:
    options = _parse(arguments)
    try:
        asyncio.run(_serve(options))
    except OSError as error:
        print(f"The fake Resource Manager stopped: {error}", file=sys.stderr)
        return 1
    return 0


def _parse(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m local.arm", description=__doc__)
    parser.add_argument("--port", type=int, default=0, help="0 takes a free one")
    parser.add_argument("--data", type=Path, help="keep the state here; memory only without")
    parser.add_argument("--blob-endpoint", required=True, help="the local storage's blob service")
    parser.add_argument(
        "--account",
        default=STATE.name,
        choices=[account.name for account in ACCOUNTS],
        help="the account that holds the disks' bytes",
    )
    parser.add_argument(
        "--time-factor", type=float, default=1.0, help="how much faster than real its time runs"
    )
    parser.add_argument("--no-throttling", action="store_true", help="never answer 429 for a rate")
    return parser.parse_args(arguments)


async def _serve(options: argparse.Namespace) -> None:
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, stop.set)
    settings = Settings(
        blob_endpoint=options.blob_endpoint.rstrip("/"),
        data_dir=options.data,
        port=options.port,
        account=options.account,
        factor=options.time_factor,
        limits=None if options.no_throttling else Limits(),
    )
    async with open_server(settings) as server:
        _announce(server)
        await stop.wait()


def _announce(server: ArmServer) -> None:
    print(json.dumps({"port": server.port, "endpoint": server.origin}), flush=True)


if __name__ == "__main__":
    sys.exit(main())
