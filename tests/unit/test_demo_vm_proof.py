"""What the demo of machines takes for proved."""

from dataclasses import replace
from datetime import UTC, datetime

import pytest

from cli.demo.proof import Seen
from cli.demo.vm.proof import KINDS, BackupProof, DiskProof, MachineProof, RestoreProof, VmProof
from cli.demo.vm.report import summary
from shared.model.ids import ItemId, JobId, PointId
from shared.model.machine import Consistency
from shared.model.point import Kind, Point

APP = ItemId("app")
ONE = PointId("app.point-1")
SEEN = Seen(sha256="aa", fsck="clean", files={"a.py": "equal", "b.py": "absent"})


def _backup(trigger: str) -> BackupProof:
    point = Point(
        id=ONE,
        item_id=APP,
        job_id=JobId("app.backup-1"),
        created_at=datetime(2026, 11, 21, tzinfo=UTC),
        kind=Kind.FULL,
        source=None,
        replica=None,
        size_bytes=1,
        consistency=Consistency.CRASH,
    )
    return BackupProof(point=point, trigger="schedule" if trigger == "schedule" else "request")


def _restore(kind: str, seen: Seen = SEEN, disks: int = 2) -> RestoreProof:
    found = [DiskProof(disk=f"lun {n}", sha256_source="aa", seen=seen) for n in range(disks)]
    [wanted] = [each for each in KINDS if each == kind]
    return RestoreProof(item=APP, point=ONE, kind=wanted, disks=found, seconds=1.0)


PROVED = MachineProof(
    item=APP,
    vault="storage",
    disks=2,
    backups=[_backup("schedule"), _backup("request")],
    restores=[_restore(kind) for kind in KINDS],
)


def test_all_is_proved() -> None:
    proof = VmProof(machines=[PROVED], seconds=10)
    assert proof.view()["ok"] is True
    assert "Proved" in list(summary(proof))[-1]
    [machine] = proof.view()["machines"]
    assert machine["backups"][0]["consistency"] == "crash"
    assert machine["restores"][2]["kind"] == "original"


@pytest.mark.parametrize(
    ("machine", "problem"),
    [
        (replace(PROVED, backups=[_backup("request")]), "no backup by schedule"),
        (replace(PROVED, restores=PROVED.restores[:2]), "no restore of kind original"),
        (replace(PROVED, disks=3), "2 disks"),
        (
            replace(
                PROVED, restores=[*PROVED.restores, _restore("disks", replace(SEEN, sha256="b"))]
            ),
            "SHA-256",
        ),
        (
            replace(
                PROVED, restores=[*PROVED.restores, _restore("disks", replace(SEEN, fsck="no"))]
            ),
            "not clean",
        ),
    ],
)
def test_what_is_missing_or_wrong_is_said(machine: MachineProof, problem: str) -> None:
    proof = VmProof(machines=[machine])
    assert any(problem in said for said in proof.problems())
    assert proof.view()["ok"] is False
    assert any(line.startswith("WRONG") for line in summary(proof))
