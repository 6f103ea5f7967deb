"""`python -m bench [NAME …]`: measures, prints a table, keeps the raw results as JSON."""

import argparse
import asyncio
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from types import FrameType
from typing import NoReturn

from bench import arm, goodput, kill, model, peers, planner, report, restore, tick, transfer
from bench.records import keep

BENCHES = {
    "tick": tick,
    "planner": planner,
    "transfer": transfer,
    "restore": restore,
    "kill": kill,
    "goodput": goodput,
    "peers": peers,
    "arm": arm,
    "model": model,
}
REPORT = "report"
RESULTS = Path(__file__).parent / "results"


def main(arguments: Sequence[str] | None = None) -> int:
    """Runs the bench that is named, or every one with what it measures by itself."""
    given = sys.argv[1:] if arguments is None else list(arguments)
    options = _parser().parse_args(given)
    if options.list:
        for name, bench in [*BENCHES.items(), (REPORT, report)]:
            print(f"{name:10} {bench.ABOUT}")
        return 0
    if options.name == REPORT:
        report.write(options.page, report.load(options.out, BENCHES), BENCHES)
        return 0
    for asked in [given] if options.name else [[name] for name in BENCHES]:
        _run(_parser().parse_args(asked), asked)
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m bench", description=__doc__)
    parser.add_argument("--list", action="store_true", help="name the benches, run none")
    benches = parser.add_subparsers(dest="name", metavar="NAME", help="run this one alone")
    for name, bench in BENCHES.items():
        one = benches.add_parser(name, help=bench.ABOUT, description=bench.__doc__)
        one.add_argument("--out", type=Path, default=RESULTS, help="where raw results are kept")
        bench.add_options(one)
    told = benches.add_parser(REPORT, help=report.ABOUT, description=report.__doc__)
    told.add_argument("--out", type=Path, default=RESULTS, help="where raw results are kept")
    report.add_options(told)
    return parser


def _run(options: argparse.Namespace, given: Sequence[str]) -> None:
    name, bench = options.name, BENCHES[options.name]
    samples = asyncio.run(bench.run(options))
    path = keep(options.out / f"{name}.json", _without_out(given), samples)
    print("\n".join(bench.table(samples)))
    print(f"\nraw results: {path}")


def _without_out(given: Sequence[str]) -> list[str]:
    """The words of a command without where its results go, which is not part of what was run."""
    at = given.index("--out") if "--out" in given else len(given)
    return [*given[:at], *given[at + 2 :]]


def _end(number: int, _: FrameType | None) -> NoReturn:
    """An ending asked for is an ending in order: servers are stopped on the way out."""
    raise SystemExit(128 + number)


if __name__ == "__main__":
    signal.signal(signal.SIGTERM, _end)
    sys.exit(main())
