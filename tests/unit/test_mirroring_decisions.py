"""What is decided of an item in a Recovery Services vault: its points, its jobs, its looks."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.errands import (
    Sight,
    ended_as,
    errand_of,
    look_again,
    told,
    troubled,
    wait_seconds,
    with_errand,
)
from shared.decide.mirroring import (
    Made,
    Mirrored,
    mirror_item,
    mirror_points,
    plan_mirrored,
    point_id_of,
    policy_in_vault,
)
from shared.model.errors import CANCELLED, Invalid, Transient
from shared.model.ids import DiskUrl, ItemId, JobId, PolicyName, VaultName
from shared.model.item import Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Operation, Status, SubTask
from shared.model.ledger import Delete, Insert, Replace, RowChange, Versioned
from shared.model.machine import Consistency
from shared.model.mirroring import Errand
from shared.model.pace import Pace
from shared.model.point import Point, Tier
from shared.model.recovery import VaultItem, VaultItemState, VaultJob, VaultPoint

NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
ITEM = ItemId("web")
MACHINE = DiskUrl("/subscriptions/s/resourcegroups/g/providers/p/virtualmachines/web")
JOB = Job(
    id=JobId("web.backup-1"),
    item_id=ITEM,
    operation=Operation.BACKUP,
    status=Status.IN_PROGRESS,
    sub_tasks=(SubTask(name=TAKE_SNAPSHOT), SubTask(name=TRANSFER)),
    started_at=NOW,
    progressed_at=NOW,
)
MINE = Item(
    id=ITEM,
    source=MACHINE,
    policy=PolicyName("gold"),
    vault=VaultName("rsv"),
    replica=DiskUrl(""),
    mirrors="theirs",
    state=ProtectionState.PROTECTED,
    protected_at=NOW,
    first_slot=NOW,
)
THEIRS = VaultItem(id="theirs", machine=MACHINE, state=VaultItemState.PROTECTED)


def said(status: Status = Status.IN_PROGRESS, **tasks: Status) -> VaultJob:
    names = {"snapshot": TAKE_SNAPSHOT, "transfer": TRANSFER}
    return VaultJob(
        id="their-job",
        operation="Backup",
        machine=MACHINE,
        status=status,
        sub_tasks=tuple(SubTask(name=names[each], status=s) for each, s in tasks.items()),
        started_at=NOW,
    )


def a_point(number: int, tiers: tuple[Tier, ...] = (Tier.VAULT,), days: int = 30) -> VaultPoint:
    taken = NOW + timedelta(hours=number)
    return VaultPoint(
        name=f"{10**14 + number}",
        taken_at=taken,
        consistency=Consistency.CRASH,
        tiers=tiers,
        expires_at=taken + timedelta(days=days),
    )


points = st.builds(
    a_point,
    st.integers(0, 60),
    st.sampled_from([(Tier.VAULT,), (Tier.SNAPSHOT,), (Tier.SNAPSHOT, Tier.VAULT)]),
    st.integers(1, 90),
)
listings = st.lists(points, max_size=12, unique_by=lambda point: point.name)


def applied(rows: list[Versioned[Point]], changes: list[RowChange]) -> list[Versioned[Point]]:
    kept = {row.record.id: row.record for row in rows}
    for change in changes:
        assert isinstance(change.record, Point)
        match change:
            case Delete():
                del kept[change.record.id]
            case Insert() | Replace():
                kept[change.record.id] = change.record
    return [Versioned(record, "etag") for record in kept.values()]


@given(listings, listings)
def test_after_a_look_the_ledger_has_what_the_vault_has(
    before: list[VaultPoint], after: list[VaultPoint]
) -> None:
    """Invariant 36; and a second look changes nothing."""
    rows = applied([], mirror_points(ITEM, [], before))
    rows = applied(rows, mirror_points(ITEM, rows, after))
    assert {(row.record.mirrors, row.record.tiers, row.record.expires_at) for row in rows} == {
        (point.name, point.tiers, point.expires_at) for point in after
    }
    assert mirror_points(ITEM, rows, after) == []


def test_a_point_names_the_backup_that_made_it() -> None:
    made = Made(job=replace(JOB, moved_bytes=7), said=replace(said(), started_at=NOW))
    rows = applied([], mirror_points(ITEM, [], [a_point(-5), a_point(0)], [made]))
    assert [row.record.job_id for row in rows] == ["", JOB.id]
    rows = applied(rows, mirror_points(ITEM, rows, [a_point(-5), a_point(0)]))
    assert [row.record.job_id for row in rows] == ["", JOB.id]


def test_names_of_points_and_policies() -> None:
    assert point_id_of(ITEM, a_point(1).name) == "web.point-100000000000001"
    assert point_id_of(ITEM, "A/B" * 30).startswith("web.point-")
    assert policy_in_vault(PolicyName("gold")) == "vaultline-gold"
    assert len(policy_in_vault(PolicyName("g" * 150))) == 150


def test_our_retention_leaves_them_alone() -> None:
    rows = applied([], mirror_points(ITEM, [], [a_point(0), a_point(-9000)]))
    plan = plan_mirrored(row.record for row in rows)
    assert len(plan.keep) == 2
    assert (plan.begins, plan.release) == ((), ())


@pytest.mark.parametrize(
    ("theirs", "state", "health"),
    [
        (THEIRS, ProtectionState.PROTECTED, ""),
        (replace(THEIRS, state=VaultItemState.STOPPED), ProtectionState.PROTECTION_STOPPED, ""),
        (replace(THEIRS, state=VaultItemState.OTHER), ProtectionState.PROTECTED, ""),
        (replace(THEIRS, healthy=False, health="ill"), ProtectionState.PROTECTED, "ill"),
        (None, ProtectionState.PROTECTION_STOPPED, "its vault does not protect it any more"),
    ],
)
def test_the_item_as_its_vault_has_it(
    theirs: VaultItem | None, state: ProtectionState, health: str
) -> None:
    seen = mirror_item(MINE, Mirrored(item=theirs), NOW)
    assert (seen.state, seen.health, seen.mirrored_at) == (state, health, NOW)


def test_an_item_that_is_only_coming_is_not_gone() -> None:
    coming = replace(MINE, following=(JobId("web.protect-1"),))
    assert mirror_item(coming, Mirrored(item=None), NOW).state is ProtectionState.PROTECTED


def test_the_end_of_a_deleted_item_does_not_move_with_each_look() -> None:
    deleted = replace(THEIRS, deleted=True, kept_seconds=14 * 86400.0)
    first = mirror_item(MINE, Mirrored(item=deleted, points=None), NOW)
    later = replace(deleted, kept_seconds=13 * 86400.0 - 60)
    again = mirror_item(first, Mirrored(item=later, points=None), NOW + timedelta(days=1))
    assert first.delete_after == again.delete_after == NOW + timedelta(days=14)
    assert mirror_item(again, Mirrored(item=THEIRS), NOW).delete_after is None


def test_the_gap_is_in_progress_and_a_listing_that_all_is_done_is_believed() -> None:
    gap = told(JOB, said(snapshot=Status.COMPLETED, transfer=Status.NOT_STARTED), NOW)
    assert gap.task(TRANSFER) is Status.IN_PROGRESS
    listed = told(JOB, said(Status.COMPLETED), NOW)
    assert {task.status for task in listed.sub_tasks} == {Status.COMPLETED}
    failed = told(JOB, said(Status.FAILED, snapshot=Status.FAILED), NOW)
    assert failed.task(TRANSFER) is Status.NOT_STARTED


@pytest.mark.parametrize(
    ("ours", "theirs", "end"),
    [
        (Status.IN_PROGRESS, Status.COMPLETED_WITH_WARNINGS, Status.COMPLETED_WITH_WARNINGS),
        (Status.CANCELLING, Status.COMPLETED_WITH_WARNINGS, Status.CANCELLED),
        (Status.CANCELLING, Status.CANCELLED, Status.CANCELLED),
        (Status.CANCELLING, Status.COMPLETED, Status.COMPLETED),
        (Status.CANCELLING, Status.FAILED, Status.FAILED),
        (Status.IN_PROGRESS, Status.CANCELLED, Status.CANCELLED),
    ],
)
def test_how_a_job_ends(ours: Status, theirs: Status, end: Status) -> None:
    status, error = ended_as(replace(JOB, status=ours), Sight(status=theirs))
    assert status is end
    assert (error == CANCELLED) is (end is Status.CANCELLED)


def test_looks_become_rarer() -> None:
    pace = Pace()
    waits = [wait_seconds(look, pace) for look in range(1, 9)]
    assert waits[:5] == [15.0, 30.0, 60.0, 120.0, 240.0]
    assert waits[5:] == [300.0] * 3
    assert wait_seconds(10**6, pace) == 300.0


def test_a_look_asks_for_the_next_under_its_number() -> None:
    row = Versioned(with_errand(JOB, Errand(looks=4)), "etag")
    decision = look_again(row, Sight(errand=Errand(looks=4), mirrors="j"), NOW, Pace())
    (change,) = decision.changes
    (message,) = decision.messages
    assert isinstance(change.record, Job)
    assert errand_of(change.record).looks == 5
    assert message.message_id == "web.backup-1.look.5"
    assert message.not_before == change.record.look_at


def test_a_vault_that_does_not_answer_has_a_day() -> None:
    """Counted from when it was last heard of."""
    busy = Transient("busy", retry_after=324)
    heard = with_errand(JOB, Errand(heard_at=NOW + timedelta(hours=20)))
    late = NOW + timedelta(hours=30)
    assert troubled(JOB, busy, NOW).wait_seconds == 324
    assert troubled(JOB, busy, late).status is Status.FAILED
    assert troubled(heard, busy, late).status is Status.IN_PROGRESS
    assert troubled(JOB, Invalid("no"), NOW).status is Status.FAILED
