"""The proof of the machines' story as people read it."""

from collections.abc import Iterator
from typing import Any

from cli.demo.vm.proof import MachineProof, VmProof
from cli.output import Column, say, show_list, size

BACKUPS = (
    Column("POINT", "id"),
    Column("KIND", "kind"),
    Column("BY", "trigger"),
    Column("CONSISTENCY", "consistency"),
    Column("TIERS", "tiers", ", ".join),
    Column("COPIED", "copied_bytes", size),
)
RESTORES = (
    Column("POINT", "point"),
    Column("TO", "kind"),
    Column("DISK", "disk"),
    Column("SHA-256", "hash"),
    Column("FILE SYSTEM", "fsck"),
    Column("FILES", "verdict"),
)


def show(proof: VmProof) -> None:
    """Each machine's points, what was restored of them, and the verdict."""
    for machine in proof.machines:
        say(f"\n{machine.item}, in a {machine.vault} vault:\n")
        views = [backup.view() for backup in machine.backups]
        show_list(views, BACKUPS, as_json=False, empty="")
        say("")
        show_list(list(_rows(machine)), RESTORES, as_json=False, empty="")
    say("\n" + "\n".join(summary(proof)))


def summary(proof: VmProof) -> Iterator[str]:
    """The totals and the verdict, a line each."""
    restores = [restore for machine in proof.machines for restore in machine.restores]
    disks = sum(len(restore.disks) for restore in restores)
    yield f"{len(restores)} restores brought {disks} disks back, in {proof.seconds:.0f} s."
    problems = proof.problems()
    if not problems:
        yield "Proved: every disk came back byte for byte, with a clean file system."
    for problem in problems:
        yield f"WRONG: {problem}"


def _rows(machine: MachineProof) -> Iterator[dict[str, Any]]:
    for restore in machine.restores:
        for disk in restore.disks:
            view = disk.view()
            equal = view["sha256_restored"] == view["sha256_source"]
            right = sum(verdict in ("equal", "absent") for verdict in view["files"].values())
            yield {
                **view,
                "point": restore.point,
                "kind": restore.kind,
                "hash": f"{'equal' if equal else 'DIFFERS'} {view['sha256_restored'][:8]}",
                "verdict": f"{right} of {len(view['files'])} as they were",
            }
