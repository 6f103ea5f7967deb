"""What a transfer makes of its parts' reports: each operation counts once, in whatever order and
however often it is reported (invariant 27, faults 10 and 20)."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from shared.codec import from_json, to_json
from shared.decide.decision import Decision
from shared.decide.parts import checkpoint_part, continue_part, finish_part, remember_stream
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl, Epoch, ItemId, JobId, PolicyName, VaultName
from shared.model.item import Item, ProtectionState
from shared.model.ledger import Replace, Versioned
from shared.model.manifest import Kind, Record
from shared.model.messages import CopyPart
from shared.model.plan import PlanRef
from shared.model.ranges import PageRange
from shared.model.transfer import Phase, Round, Transfer
from shared.steps.executor import Stretch

ITEM, JOB = ItemId("os"), JobId("os.backup-1")
NOW = datetime(2026, 11, 21, tzinfo=UTC)
OPS = 12
PART = 3
SOURCE = Snapshot(
    disk=DiskUrl("https://s.example/d/os"), id="1", taken_at=NOW, size_bytes=4096, chain="c"
)
REQUEST = CopyPart(item_id=ITEM, job_id=JOB, epoch=Epoch(5), part=PART, first=0, last=OPS)


def transfer(parts: int = 8) -> Transfer:
    return Transfer(
        job_id=JOB,
        epoch=Epoch(5),
        snapshot=SOURCE,
        phase=Phase.COPYING,
        plan=PlanRef(url="u", ops=OPS, parts=parts, copy_bytes=0, clear_bytes=0),
        pushes=4,
        started_at=NOW,
        progressed_at=NOW,
    )


def row(record: Transfer) -> Versioned[Transfer]:
    return Versioned(record, "etag")


def after(before: Transfer, decision: Decision[bool]) -> Transfer:
    if not decision.changes:
        return before
    [change] = decision.changes
    assert isinstance(change, Replace)
    assert isinstance(change.record, Transfer)
    return change.record


def size(op: int) -> int:
    """Of its own for each operation, so that sums tell which were counted."""
    return 512 << op


def stretch(first: int, last: int) -> Stretch:
    records = [[Record(PageRange(0, size(op)), Kind.COPIED)] for op in range(first, last)]
    return Stretch(first=first, last=last, written=records, requests=1)


reports = st.lists(st.tuples(st.integers(0, 2), st.integers(1, OPS), st.booleans()), max_size=40)


@given(reports)
def test_each_operation_counts_once(reports: list[tuple[int, int, bool]]) -> None:
    """Three runs of one part, each from where the row said the part was when it began; each
    reports farther and farther, and forgets now and then that it has."""
    known, reported = transfer(), [0, 0, 0]
    for run, forward, heard in reports:
        first = reported[run]
        last = min(OPS, first + forward)
        done = stretch(first, last)
        since = known.resumes(PART, 0)
        new = done.copied_from(since)
        if last == OPS:
            known = after(known, finish_part(ITEM, row(known), PART, new, NOW))
        elif not known.is_done(PART):
            known = after(known, checkpoint_part(row(known), REQUEST, last, new, NOW))
        reported[run] = last % OPS if heard else first
        reached = OPS if known.is_done(PART) else known.resumes(PART, 0)
        assert reached >= since
        assert known.copied_bytes == sum(size(op) for op in range(reached))


def test_a_report_that_tells_nothing_new_changes_nothing() -> None:
    known = after(
        transfer(), checkpoint_part(row(transfer()), REQUEST, 7, stretch(0, 7).copied_from(0), NOW)
    )
    assert known.reached == ((PART, 7),)
    assert known.pushes == 0
    for reached in (5, 7):
        done = stretch(0, reached).copied_from(7)
        again = checkpoint_part(row(known), REQUEST, reached, done, NOW)
        assert again == Decision(False)


def test_a_done_part_needs_no_checkpoint() -> None:
    known = transfer().with_reached(PART, 7).with_reached(1, 2)
    done = after(known, finish_part(ITEM, row(known), PART, stretch(7, OPS).copied_from(7), NOW))
    assert done.reached == ((1, 2),)
    assert done.is_done(PART)


def test_the_rest_of_a_part_is_a_message_of_its_own() -> None:
    at = NOW + timedelta(seconds=60)
    made = continue_part(row(transfer()), REQUEST, 7, stretch(0, 7).copied_from(0), NOW, at)
    [message] = made.messages
    assert message.not_before == at
    assert message.message_id == f"{JOB}.part.5.{PART}.0.1"
    rest = from_json(CopyPart, message.body)
    assert (rest.first, rest.last, rest.leg) == (7, OPS, 1)
    known = after(transfer(), made)
    again = continue_part(row(known), rest, 7, stretch(7, 7).copied_from(7), NOW, None)
    assert not again.changes
    assert again.messages[0].message_id == f"{JOB}.part.5.{PART}.0.2"


def test_the_rest_begins_where_the_farthest_run_came() -> None:
    known = transfer().with_reached(PART, 9)
    made = continue_part(row(known), REQUEST, 4, stretch(0, 4).copied_from(9), NOW, None)
    assert from_json(CopyPart, made.messages[0].body).first == 9
    assert made.changes == ()


def test_a_transfer_keeps_its_checkpoints_in_its_row() -> None:
    known = transfer().with_reached(PART, 9).with_reached(2, 4)
    assert from_json(Transfer, to_json(known)) == known


def test_a_source_that_must_be_streamed_is_remembered_by_its_chain() -> None:
    item = Item(
        id=ITEM,
        source=SOURCE.disk,
        policy=PolicyName("gold"),
        vault=VaultName("vault"),
        replica=DiskUrl("https://v.example/v/os"),
        state=ProtectionState.PROTECTED,
        protected_at=NOW,
        first_slot=NOW,
    )
    [change] = remember_stream(Versioned(item, "etag"), transfer())
    assert isinstance(change, Replace)
    learnt = change.record
    assert isinstance(learnt, Item)
    assert learnt.streams == "c"
    assert remember_stream(Versioned(learnt, "etag"), transfer()) == ()
    seeding = replace(transfer(), round=Round.SEED)
    assert remember_stream(Versioned(item, "etag"), seeding) == ()
