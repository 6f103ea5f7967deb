"""When the demo proves the pipeline right, and what it says where it does not."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cli.demo.proof import OriginalProof, PointProof, Proof, Restored, Seen, Trigger, file_verdict
from cli.demo.report import rows, summary
from cli.demo.traffic import Traffic, traffic_of
from local.storage.controls import OperationCount
from shared.model.ids import JobId


def _seen(sha256: str, fsck: str = "clean", **files: str) -> Seen:
    return Seen(sha256=sha256, fsck=fsck, files=files or {"a": "equal", "b": "absent"})


def _back(seen: Seen) -> Restored:
    return Restored(seen=seen, moved_bytes=1000, seconds=2.0)


def _point(number: int, trigger: Trigger, kind: str = "incremental", **more: Any) -> PointProof:
    sha256 = f"{number:064x}"
    given: dict[str, Any] = {
        "id": f"demo.point-{number}",
        "job_id": JobId(f"demo.backup-{number}"),
        "trigger": trigger,
        "kind": kind,
        "changed_bytes": 500,
        "copied_bytes": 400,
        "worker_bytes": 0,
        "requests": 7,
        "seconds": 1.5,
        "sha256_source": sha256,
        "restored": _back(_seen(sha256)),
        "written_bytes": 400,
        "cleared_bytes": 100,
    }
    return PointProof(**{**given, **more})


POINTS = (
    _point(1, "schedule", "full", changed_bytes=9000, copied_bytes=9000, written_bytes=9000),
    _point(2, "request"),
    _point(3, "schedule"),
    _point(4, "request"),
)
ORIGINAL = OriginalProof(
    point=POINTS[0].id,
    sha256_source=POINTS[0].sha256_source,
    restored=POINTS[0].restored,
    safety_point="demo.point-restore",
    safety_source=POINTS[3].sha256_source,
    safety=POINTS[3].restored,
    next_point="demo.point-5",
)
PROOF = Proof(
    image_bytes=65536,
    points=POINTS,
    original=ORIGINAL,
    traffic=Traffic(server_side_copies=12, page_bytes_sent=0),
    trace_id="ab" * 16,
    seconds=99.0,
)


def _with(index: int, **more: Any) -> Proof:
    changed = replace(POINTS[index], **more)
    return replace(PROOF, points=(*POINTS[:index], changed, *POINTS[index + 1 :]))


def test_a_right_story_is_proved() -> None:
    assert PROOF.problems() == []
    assert PROOF.view()["ok"] is True
    assert "Proved" in list(summary(PROOF))[-1]


@pytest.mark.parametrize(
    ("proof", "said"),
    [
        (_with(1, sha256_source="f" * 64), "point demo.point-2: the disk's SHA-256 was ffff"),
        (_with(2, restored=_back(_seen(f"{3:064x}", "bad magic"))), "not clean: bad magic"),
        (_with(2, restored=_back(_seen(f"{3:064x}", x="differs"))), "file x is not as it was"),
        (_with(2, restored=_back(_seen(f"{3:064x}", x="unexpected"))), "x is not as it was: unex"),
        (_with(1, copied_bytes=501), "copied 501 bytes for 400 changed ones"),
        (_with(1, changed_bytes=300), "copied 400 bytes for 300 changed ones"),
        (_with(1, written_bytes=None, copied_bytes=626), "copied 626 bytes for 500 changed ones"),
        (_with(3, kind="full"), "point demo.point-4: it is full, not incremental"),
        (_with(3, trigger="schedule"), "fewer than 2 points came by request"),
        (_with(2, trigger="request"), "fewer than 2 points came by schedule"),
        (_with(1, worker_bytes=512), "512 bytes of disk data passed through functions"),
        (
            replace(PROOF, traffic=Traffic(server_side_copies=12, page_bytes_sent=4096)),
            "4096 bytes of disk data passed",
        ),
        (
            replace(PROOF, traffic=Traffic(server_side_copies=0, page_bytes_sent=0)),
            "no server-side copy",
        ),
        (
            replace(PROOF, original=replace(ORIGINAL, restored=_back(_seen("0" * 64)))),
            "the restored original: the disk's SHA-256 was",
        ),
        (
            replace(PROOF, original=replace(ORIGINAL, safety=_back(_seen("0" * 64)))),
            "the restored original: point demo.point-restore, taken before: ",
        ),
    ],
)
def test_whatever_is_wrong_is_said(proof: Proof, said: str) -> None:
    problems = proof.problems()
    assert len(problems) == 1
    assert said in problems[0]
    assert proof.view()["ok"] is False
    assert f"WRONG: {problems[0]}" in list(summary(proof))


@pytest.mark.parametrize(
    "allowed",
    [
        lambda: _with(1, copied_bytes=500),
        lambda: _with(1, changed_bytes=0, written_bytes=0, copied_bytes=0),
        lambda: _with(1, written_bytes=None, copied_bytes=625),
    ],
)
def test_an_increment_may_copy_a_quarter_more_than_changed(allowed: Callable[[], Proof]) -> None:
    assert allowed().problems() == []


@pytest.mark.parametrize(
    ("expected", "found", "verdict"),
    [
        (b"x", b"x", "equal"),
        (b"", b"", "equal"),
        (b"x", b"y", "differs"),
        (None, None, "absent"),
        (b"", None, "missing"),
        (None, b"", "unexpected"),
    ],
)
def test_file_verdicts(expected: bytes | None, found: bytes | None, verdict: str) -> None:
    assert file_verdict(expected, found) == verdict


def test_the_view_is_the_public_shape() -> None:
    view = PROOF.view()
    assert view["worker_bytes"] == 0
    assert view["moved_bytes"] == 9000 + 3 * 400 + 6 * 1000
    assert view["original"]["safety_point"]["sha256_restored"] == POINTS[3].sha256_source
    assert view["points"][1] == {
        "id": "demo.point-2",
        "job_id": "demo.backup-2",
        "trigger": "request",
        "kind": "incremental",
        "changed_bytes": 500,
        "copied_bytes": 400,
        "worker_bytes": 0,
        "requests": 7,
        "seconds": 1.5,
        "sha256_source": f"{2:064x}",
        "written_bytes": 400,
        "cleared_bytes": 100,
        "sha256_restored": f"{2:064x}",
        "fsck": "clean",
        "files": {"a": "equal", "b": "absent"},
        "restore_bytes": 1000,
        "restore_seconds": 2.0,
    }


def test_the_table_tells_equal_from_different() -> None:
    table = rows(_with(1, sha256_source="f" * 64).view())
    assert [row["hash"].split()[0] for row in table[:2]] == ["equal", "DIFFERS"]
    assert [row["id"] for row in table[4:]] == [
        "demo.point-1 → original disk",
        "demo.point-restore",
    ]
    one_wrong = _with(1, restored=_back(_seen(f"{2:064x}", x="missing", y="absent", z="equal")))
    assert rows(one_wrong.view())[1]["file_verdict"] == "2 of 3 as they were"


def test_only_the_hosts_page_traffic_counts() -> None:
    counted = [
        _count("vaultline-host", "PageBlob_UploadPagesFromURL", requests=3),
        _count("vaultline-host", "PageBlob_UploadPages", requests=2, request_bytes=8192),
        _count("vaultline-host", "BlockBlob_Upload", requests=1, request_bytes=160),
        _count("azsdk-python-storage-blob", "PageBlob_UploadPages", 9, request_bytes=1 << 20),
    ]
    expected = Traffic(server_side_copies=3, page_bytes_sent=8192)
    assert traffic_of("vaultline-host", counted) == expected


def _count(client: str, operation: str, requests: int, request_bytes: int = 0) -> OperationCount:
    return OperationCount(
        client=client,
        service="blob",
        account="vlvault",
        operation=operation,
        requests=requests,
        errors=0,
        request_bytes=request_bytes,
        response_bytes=0,
    )
