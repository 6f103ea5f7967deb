"""Managed disks as Resource Manager writes them: recorded bodies, and names of our own."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.azure.managed.naming import JOB_TAG, snapshot_name, tags_of
from shared.azure.managed.wire import (
    disk_state,
    instant,
    is_uploading,
    size_of,
    source_of,
    taken_of,
)
from shared.decide.vhd import FOOTER_BYTES, footer
from shared.model.arm_ids import ArmId, disk_id

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
recorded = pytest.mark.skipif(not RECORDINGS.exists(), reason="no recordings beside the project")
DISK = ArmId("0f0f0f0f-1111-2222-3333-444444444444", "rg", "disks", "os")
tags = st.text(min_size=1, max_size=200)


@given(tags, tags)
def test_names_follow_from_disk_and_tag(one: str, other: str) -> None:
    name = snapshot_name(DISK, one)
    assert len(name) <= 80
    assert all(each.isascii() and (each.isalnum() or each in "_-") for each in name)
    assert snapshot_name(DISK, one) == name
    assert (snapshot_name(DISK, other) == name) == (one == other)
    elsewhere = ArmId(DISK.subscription, "rg-2", "disks", "os")
    assert snapshot_name(elsewhere, one) != name


def test_tags_say_item_and_job() -> None:
    assert tags_of("web.backup-1") == {"vaultline-job": "web.backup-1", "vaultline-item": "web"}


@pytest.mark.parametrize(
    "text",
    [
        "2024-03-12T08:18:50.3505576+00:00",
        "2024-03-12T08:18:50.350557Z",
        "2024-03-12T08:18:50.3505570",
        "2024-03-12T10:18:50.3505579+02:00",
    ],
)
def test_times_are_read_in_whatever_form(text: str) -> None:
    assert instant(text) == datetime(2024, 3, 12, 8, 18, 50, 350557, UTC)


def test_a_time_without_a_fraction_is_a_time() -> None:
    assert instant("2024-03-12T08:18:50+00:00") == datetime(2024, 3, 12, 8, 18, 50, tzinfo=UTC)


def exchanges(name: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (RECORDINGS / f"{name}.jsonl").read_text().splitlines()]


@recorded
def test_recorded_snapshots_are_read() -> None:
    bodies = [
        each["response_body"]
        for each in exchanges("compute2024_snapshot_incremental_FULLURLS")
        if each["method"] == "GET" and "/snapshots/" in each["path"] and each["status"] == 200
    ]
    copied = [body for body in bodies if source_of(body)]
    assert copied
    for body in copied:
        taken = taken_of({**body, "tags": {JOB_TAG: "item.backup-1"}})
        assert taken.snapshot.tag == "item.backup-1"
        assert taken.snapshot.disk == str(source_of(body))
        assert taken.snapshot.chain.startswith(f"{taken.snapshot.disk}#")
        assert (taken.state, taken.granted, taken.is_whole) == ("Succeeded", False, True)
        assert taken.snapshot.size_bytes == body["properties"]["diskSizeBytes"]


@recorded
def test_a_copy_that_says_succeeded_may_be_empty() -> None:
    """`completionPercent` 0.0 beside `Succeeded`, as recorded of CopyStart."""
    bodies = [
        each["response_body"]
        for each in exchanges("compute2024_snapshot_incremental_FULLURLS")
        if "completionPercent" in ((each["response_body"] or {}).get("properties") or {})
    ]
    assert bodies
    for body in bodies:
        assert body["properties"]["provisioningState"] == "Succeeded"
        assert body["properties"]["completionPercent"] == 0.0
        named = {**body["properties"]["creationData"], "sourceResourceId": str(DISK)}
        copied = {**body, "properties": {**body["properties"], "creationData": named}}
        assert not taken_of(copied).is_whole


@recorded
def test_a_recorded_upload_has_the_size_that_it_will_have() -> None:
    bodies = [each["response_body"] for each in exchanges("compute2024_vm_disk_upload")]
    (shown,) = [body for body in bodies if body.get("properties", {}).get("diskState")]
    assert is_uploading(shown)
    assert size_of(shown["properties"]) == 20 * 1024**3
    state = disk_state(disk_id(shown["id"]), shown)
    assert (state.size_bytes, state.tag) == (20 * 1024**3, "")


@given(st.integers(1, 64 * 1024**4 // 512).map(lambda sectors: sectors * 512))
def test_a_footer_is_a_fixed_vhd_s(size_bytes: int) -> None:
    """Cookie, sizes, type and checksum, as the format's specification has them."""
    made = footer(size_bytes, UUID(int=7))
    assert len(made) == FOOTER_BYTES
    assert made[:8] == b"conectix"
    assert int.from_bytes(made[40:48], "big") == int.from_bytes(made[48:56], "big") == size_bytes
    assert int.from_bytes(made[60:64], "big") == 2
    without = made[:64] + bytes(4) + made[68:]
    assert int.from_bytes(made[64:68], "big") == ~sum(without) & 0xFFFF_FFFF


@pytest.mark.parametrize(
    ("mebibytes", "geometry"),
    [
        (20, (602, 4, 17)),
        (128, (963, 16, 17)),
        (240, (990, 16, 31)),
        (1024, (2080, 16, 63)),
        (32 * 1024, (16448, 16, 255)),
        (4 * 1024**2, (65535, 16, 255)),
    ],
)
def test_its_geometry_is_the_specification_s(
    mebibytes: int, geometry: tuple[int, int, int]
) -> None:
    made = footer(mebibytes * 1024**2, UUID(int=7))
    assert (int.from_bytes(made[56:58], "big"), made[58], made[59]) == geometry
