"""Planning storage, and the limits it comes near."""

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.policy import default_policy, parse_policy
from shared.decide.capacity import Usage, warnings_for
from shared.decide.sizing import (
    DiskLoad,
    StoragePlan,
    kept_slots,
    plan_storage,
    seen_daily_bytes,
    stored_now,
)
from tests.unit.cli_world import NOW, point

START = datetime(2026, 1, 1, tzinfo=UTC)
GB, TB, TIB = 10**9, 10**12, 1024**4
POLICIES = [
    default_policy(),
    parse_policy(
        """
        name: long
        time_zone: Europe/Berlin
        schedule: {frequency: daily, at: ["02:00", "14:00"]}
        retention: {daily: {keep: 30}, weekly: {keep: 52, on: [sunday]}}
        """
    ),
    parse_policy(
        """
        name: weekly
        schedule: {frequency: weekly, on: [sunday], at: ["02:00"]}
        retention: {weekly: {keep: 12, on: [sunday]}}
        """
    ),
]


def plan(size: int, daily: float, disks: int = 1, days: int = 30) -> StoragePlan:
    loads = [DiskLoad(size_bytes=size, daily_bytes=daily)] * disks
    return plan_storage(loads, default_policy(), START, days)


def test_800_disks_of_100_gb_are_80_tb_for_one_full_copy() -> None:
    planned = plan(100 * GB, 3 * GB, disks=800)
    assert planned.full_copy_bytes == 80 * TB
    assert planned.daily_bytes == 2.4 * TB


def test_a_month_of_daily_points_holds_what_they_replaced() -> None:
    """31 slots in 31 days of which 30 are kept: 29 gaps of a day."""
    planned = plan(100 * GB, 2 * GB, days=31)
    assert planned.points == 30
    assert planned.stored_bytes == 100 * GB + 29 * 2 * GB
    assert planned.snapshot_bytes == 4 * GB


def test_sparse_points_add_no_more_than_the_disk() -> None:
    loads = [DiskLoad(size_bytes=10 * GB, daily_bytes=5 * GB)]
    planned = plan_storage(loads, POLICIES[2], START, 28)
    assert planned.stored_bytes == 10 * GB + (planned.points - 1) * 10 * GB


def test_the_newest_point_counts_although_no_rule_keeps_it() -> None:
    long_gap = parse_policy(
        """
        name: thin
        schedule: {frequency: weekly, on: [sunday], at: ["02:00"]}
        retention: {weekly: {keep: 2, on: [sunday]}}
        """
    )
    assert len(kept_slots(long_gap, START, START + timedelta(days=10))) >= 1


loads = st.builds(
    DiskLoad,
    size_bytes=st.integers(0, 64 * TIB),
    daily_bytes=st.floats(0, 64 * TIB, allow_nan=False),
)


@given(
    st.lists(loads, max_size=6),
    loads,
    st.sampled_from(POLICIES),
    st.integers(8, 120),
    st.floats(1, 3),
)
def test_a_plan_grows_with_disks_and_churn_and_stays_within_bounds(
    disks: list[DiskLoad], more: DiskLoad, policy, days: int, factor: float
) -> None:
    one = plan_storage(disks, policy, START, days)
    assert one.full_copy_bytes == sum(disk.size_bytes for disk in disks)
    slack = len(disks) + 1
    assert one.full_copy_bytes <= one.stored_bytes + slack
    assert one.stored_bytes <= one.full_copy_bytes * max(1, one.points) + slack
    assert one.daily_bytes <= one.full_copy_bytes + slack
    larger = plan_storage([*disks, more], policy, START, days)
    assert larger.stored_bytes + slack >= one.stored_bytes + more.size_bytes
    busier = [
        DiskLoad(size_bytes=disk.size_bytes, daily_bytes=disk.daily_bytes * factor)
        for disk in disks
    ]
    assert plan_storage(busier, policy, START, days).stored_bytes + slack >= one.stored_bytes
    still = [DiskLoad(size_bytes=disk.size_bytes, daily_bytes=0) for disk in disks]
    assert plan_storage(still, policy, START, days).stored_bytes == one.full_copy_bytes
    twice = plan_storage([*disks, *disks], policy, START, days)
    assert twice.stored_bytes == pytest.approx(2 * one.stored_bytes, abs=2 * slack)


def test_what_changes_in_a_day_is_seen_in_young_points() -> None:
    ages = (40, 4, 2, 1)
    points = [point(NOW - timedelta(days=age), changed_bytes=age * GB) for age in ages]
    assert seen_daily_bytes(points, NOW) == pytest.approx((2 + 1) * GB / 3)
    assert seen_daily_bytes(points[:2], NOW) is None
    assert seen_daily_bytes([], NOW) is None


def test_what_a_vault_holds_of_an_item() -> None:
    points = [point(NOW - timedelta(days=age), copied_bytes=5) for age in (3, 2, 1)]
    assert stored_now(points) == points[0].size_bytes + 10
    assert stored_now([point(NOW, "s")]) == 0


@pytest.mark.parametrize(
    ("usage", "words"),
    [
        ((3 * 1000 * TB, 0, 0), None),
        ((5 * 1000 * TB, 0, 0), "5 PiB"),
        ((0, 230 * TB, 0), "25 Gbps"),
        ((0, 180 * TB, 0), "requests a day"),
        ((0, 0, 7 * TIB), "8 TiB of a page blob"),
        ((0, 0, 6 * TIB), None),
    ],
)
def test_people_are_warned_of_limits_that_are_near(
    usage: tuple[int, int, int], words: str | None
) -> None:
    stored, daily, largest = usage
    told = warnings_for(Usage(stored_bytes=stored, daily_bytes=daily, largest_disk_bytes=largest))
    assert any(words in each for each in told) if words else told == []
