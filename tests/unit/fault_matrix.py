"""Which test injects which fault; `python -m tests.unit.fault_matrix` writes it to docs/faults.md.

The source is the tests themselves: `@pytest.mark.fault(8, 16)` stands on each that brings the
faults 8 and 16 about. Their decorators are read, the tests are not imported.
"""

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs" / "faults.md"
BEGIN, END = "<!-- matrix: written by tests.unit.fault_matrix -->\n", "<!-- end of matrix -->\n"


@dataclass(frozen=True)
class Known:
    """What may happen, and what is right then. `waits_for` says why no test can inject it yet."""

    happens: str
    right: str
    waits_for: str = ""


FAULTS: Mapping[int, Known] = {
    1: Known("A diff leaves out what was written", "samples differ; the replica is compared"),
    2: Known("A diff leaves out what was cleared", "the audit clears it in the replica"),
    3: Known("The base is not the last committed point", "never taken; planned again"),
    4: Known("`PreviousSnapshotNotFound`", "full copy, the reason on the point"),
    5: Known("`BlobOverwritten`: another disk by the same name", "full copy, a new chain"),
    6: Known("A resize across 4 TB", "full copy, the reason on the point"),
    7: Known("Any other resize", "the replica follows first; an increment"),
    8: Known("A writer who lost its turn goes on", "412 from the storage; nothing is written"),
    9: Known("Death before the commit", "no point; the work goes on"),
    10: Known("A part is reported twice", "it counts once"),
    11: Known("A part's message is lost", "the reconciler sends it again"),
    12: Known("Retention is after the base, the newest or a point in use", "they stay"),
    13: Known("A flood of backups", "points are kept by time, not by number"),
    14: Known("A restore meets the expiry of its point", "the point is pinned"),
    15: Known("Bit rot in the vault", "the check finds, repairs and reports it"),
    16: Known("An effect whose answer is lost", "the same again does no harm"),
    17: Known("A listing that ends too early or never", "never taken for the whole"),
    18: Known("One disk of a machine fails", "no point in the vault; the next one heals"),
    19: Known("An abandoned transfer, its pages cleared since", "the next point is byte-exact"),
    20: Known("Work outlives its lock", "done beside itself, counted once"),
    21: Known("A message comes again after its work is done", "nothing is done twice"),
    22: Known("Ten shutdowns burn a message's deliveries", "dead-lettered, redriven, done"),
    23: Known("The grace of a drain is over", "the next host goes on from the checkpoint"),
    26: Known("A message that nobody can understand", "dead-lettered with a reason for people"),
    27: Known("The bus hangs up", "connected again"),
    29: Known("Death between storing and sending", "the outbox is sent later"),
    33: Known("A timer fires twice", "one backup a slot"),
    35: Known("An orchestration hangs or is forgotten", "started again, or ended"),
    39: Known("An orchestration is started twice", "one instance"),
    40: Known("503 `ServerBusy`", "fewer requests at a time, as long as it lasts"),
    41: Known(
        "`CannotVerifyCopySource`", "repeated, granted again, streamed or ended, by its cause"
    ),
    42: Known("A grant ends in the midst of copies", "granted again; the part goes on"),
    43: Known("Leave to read is not taken back", "swept when nothing reads any more"),
    44: Known("More snapshots of a disk to read than may be", "the others wait for a message"),
    45: Known("Others revoke our grant", "granted again; the part goes on"),
    46: Known("Limits on the rate or number of snapshots", "taken later, once"),
    47: Known(
        "A Premium SSD v2 snapshot that is not complete yet",
        "looked at again by a scheduled message",
    ),
    48: Known("A diff of more ranges than an answer holds", "read on, in halves where it must be"),
    49: Known("429 of Resource Manager", "the message comes again when it was told to"),
    50: Known("Made, but nobody was told", "looking is the truth; nothing is there twice"),
    51: Known("A disk is gone, or its group locked", "the job ends with what to do; points stay"),
    52: Known("412: somebody else was faster", "read and decided again"),
    53: Known("409 for what a lost answer had inserted", "compared: a success"),
    54: Known("More than a row or a transaction takes", "cut into several"),
    55: Known("An empty answer with a marker", "read on"),
    57: Known("Hosts' clocks differ", "one backup a slot"),
    58: Known("An outage, and its end", "each work is done once, and nobody hammers"),
    59: Known(
        "A vault's job ends with warnings, or another one runs",
        "a point of the snapshot tier; no second backup",
    ),
}
REQUIRED = frozenset({*range(1, 24), 40, 41, 42, 45, 46, 47, 48, 50, 52, 53, 54, 55, 58})


@dataclass(frozen=True, order=True)
class Injection:
    """A test and the faults that its decorators name."""

    test: str
    faults: tuple[int, ...]


def injections(tests: Path = ROOT / "tests") -> list[Injection]:
    """Every marked test below the folder, by name. Raises `ValueError` for a mark that no test
    run would ever see."""
    return sorted(
        found for path in sorted(tests.rglob("*.py")) for found in _in_file(path, tests.parent)
    )


def _in_file(path: Path, root: Path) -> Iterator[Injection]:
    source = path.read_text()
    if "mark.fault(" not in source:
        return
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and (faults := _faults(node)):
            if not (path.name.startswith("test_") and node.name.startswith("test_")):
                raise ValueError(f"{path}: {node.name} is marked, and no test")
            yield Injection(f"{path.relative_to(root).as_posix()}::{node.name}", faults)


def _faults(function: ast.FunctionDef | ast.AsyncFunctionDef) -> tuple[int, ...]:
    """The numbers in the function's marks. Raises `ValueError` for what is no number."""
    marks = [each for each in function.decorator_list if _is_mark(each)]
    return tuple(
        int(ast.literal_eval(number))
        for mark in marks
        if isinstance(mark, ast.Call)
        for number in mark.args
    )


def _is_mark(decorator: ast.expr) -> bool:
    return ast.unparse(decorator).startswith("pytest.mark.fault(")


def by_fault(found: list[Injection]) -> dict[int, list[str]]:
    """The tests of each fault."""
    tests: dict[int, list[str]] = {}
    for injection in found:
        for number in injection.faults:
            tests.setdefault(number, []).append(injection.test)
    return tests


def matrix(found: list[Injection]) -> str:
    """The table as it stands in the page."""
    tests = by_fault(found)
    rows = [
        f"| {number} | {known.happens} | {known.right} | {_told(tests.get(number, []), known)} |"
        for number, known in sorted(FAULTS.items())
    ]
    return "\n".join(
        ["| # | what happens | what is right | tests |", "|---|---|---|---|", *rows, ""]
    )


def _told(tests: list[str], known: Known) -> str:
    names = [f"`{test.removeprefix('tests/')}`" for test in tests]
    return "<br>".join(names) or f"none yet: {known.waits_for}"


def written(page: str) -> str:
    """The page with the matrix as it is now."""
    head, _, rest = page.partition(BEGIN)
    _, _, tail = rest.partition(END)
    return head + BEGIN + matrix(injections()) + END + tail


if __name__ == "__main__":
    PAGE.write_text(written(PAGE.read_text()))
