"""The proof as people read it."""

from collections.abc import Iterator, Mapping
from typing import Any

from cli.demo.proof import Proof
from cli.output import Column, say, show_list, size, terminal
from cli.waterfall import waterfall

COLUMNS = (
    Column("POINT", "id"),
    Column("KIND", "kind"),
    Column("BY", "trigger"),
    Column("CHANGED", "changed_bytes", size),
    Column("COPIED", "copied_bytes", size),
    Column("REQUESTS", "requests"),
    Column("TIME", "seconds", lambda seconds: f"{seconds:.1f} s"),
    Column("SHA-256", "hash"),
    Column("FILE SYSTEM", "fsck"),
    Column("FILES", "file_verdict"),
)

TIMELINE_WIDTH = 110
"""The spans of a backup lie deep in each other: with less, their names are cut off."""


def rows(proof: Mapping[str, Any]) -> list[dict[str, Any]]:
    """The table's rows for a proof's view: its points, then what was restored onto the original
    disk, and the point that keeps what was there before."""
    original = proof["original"]
    onto = {**original, "id": f"{original['point']} → original disk"}
    return [_row(each) for each in (*proof["points"], onto, original["safety_point"])]


def show(proof: Proof) -> None:
    """The table, the timeline of one incremental backup, and what it all comes to."""
    show_list(rows(proof.view()), COLUMNS, as_json=False, empty="")
    say("\nThe timeline of the first incremental backup:\n")
    say("\n".join(waterfall(proof.spans, max(terminal().width, TIMELINE_WIDTH))))
    say("\n" + "\n".join(summary(proof)))


def summary(proof: Proof) -> Iterator[str]:
    """The totals and the verdict, a line each."""
    moved, worker = size(proof.moved_bytes), size(proof.worker_bytes)
    yield f"Disk data moved by the storage service: {moved}; carried by functions: {worker}."
    yield "(To verify the first copy, and a few samples, functions read pages and compare them.)"
    disk = size(proof.image_bytes)
    yield f"{len(proof.points)} points of a disk of {disk} in {proof.seconds:.0f} s."
    problems = proof.problems()
    if not problems:
        yield "Proved: every point came back byte for byte, with a clean file system."
    for problem in problems:
        yield f"WRONG: {problem}"


def _row(view: Mapping[str, Any]) -> dict[str, Any]:
    equal = view["sha256_restored"] == view["sha256_source"]
    right = sum(verdict in ("equal", "absent") for verdict in view["files"].values())
    return {
        **view,
        "hash": f"{'equal' if equal else 'DIFFERS'} {view['sha256_restored'][:8]}",
        "file_verdict": f"{right} of {len(view['files'])} as they were",
    }
