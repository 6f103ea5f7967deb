"""`python -m bench report`: puts the raw results into the page of measurements.

Between the markers `<!-- bench:NAME -->` and `<!-- /bench:NAME -->` stands what the results of that
bench say: the command, its table, its picture. `goals` is made of all of them. What stands outside
the markers is written by people.
"""

import argparse
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from bench import goals
from bench.plots import DRAWN, draw

ABOUT = "puts the kept results into docs/performance.md"
PAGE = Path(__file__).parents[1] / "docs" / "performance.md"
PICTURES = "performance"
"""The folder of the pictures, beside the page."""
GOALS = "goals"


@dataclass(frozen=True)
class Result:
    """A bench's kept run."""

    command: str
    ended_at: str
    samples: list[Any]


def add_options(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--page", type=Path, default=PAGE, help="the page to put them into")


def load(folder: Path, benches: Mapping[str, ModuleType]) -> dict[str, Result]:
    """The results that are kept in the folder, by bench."""
    found = {}
    for name, bench in benches.items():
        path = folder / f"{name}.json"
        if path.exists():
            told = json.loads(path.read_text())
            samples = [bench.Sample(**row) for row in told["samples"]]
            found[name] = Result(told["command"], told["ended_at"], samples)
    return found


def write(page: Path, results: Mapping[str, Result], benches: Mapping[str, ModuleType]) -> None:
    """Renews every marked section of the page of which there are results, and its picture."""
    for name in DRAWN.keys() & results.keys():
        draw(name, results[name].samples, page.parent / PICTURES)
    page.write_text(rendered(page.read_text(), results, benches))


def rendered(text: str, results: Mapping[str, Result], benches: Mapping[str, ModuleType]) -> str:
    """The page's text with its marked sections renewed."""
    for name, result in results.items():
        text = _renewed(text, name, _section(name, result, benches[name]))
    told = {name: result.samples for name, result in results.items()}
    return _renewed(text, GOALS, goals.table(told))


def _section(name: str, result: Result, bench: ModuleType) -> Iterator[str]:
    yield from ("```console", f"$ {result.command}", "```", "")
    yield from bench.table(result.samples)
    if name in DRAWN:
        yield from ("", f"![{bench.ABOUT}]({PICTURES}/{name}.svg)")


def _renewed(text: str, name: str, lines: Iterator[str]) -> str:
    """The page with the section's lines in the place of those that were there."""
    first, last = f"<!-- bench:{name} -->", f"<!-- /bench:{name} -->"
    section = "\n".join([first, *lines, last])
    return re.sub(f"{re.escape(first)}.*?{re.escape(last)}", lambda _: section, text, flags=re.S)
