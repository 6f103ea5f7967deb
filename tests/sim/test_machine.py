"""Lives that Hypothesis thinks up, judged page by page against a model.

A life is a disk that is written, cleared, resized, replaced, backed up, checked, restored, stopped
and deleted, in any order, while calls fail, processes die between two calls, messages are lost,
doubled and late, others delete snapshots and plans, the vault's pages rot, and the service refuses
what it can. At every transaction the points that are there hold what the disk held; whenever the
faults stop the work ends, nothing is left over, and every point restores byte for byte.

`VAULTLINE_LIVES` (default 100) says how many lives; each is up to 50 steps long.
"""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import Coroutine
from dataclasses import replace
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    rule,
    run_state_machine_as_test,
)

from shared.model import plan
from tests.sim.machine_life import Life, Place
from tests.sim.machine_rest import come_to_rest, end_well
from tests.sim.machine_trouble import (
    DIFFS,
    Meanwhile,
    Service,
    Trouble,
    bring,
    interfere,
    places,
    some,
    troubles,
)

LIVES = int(os.environ.get("VAULTLINE_LIVES", "100"))
STEPS = 50
PART_OPS = 3
"""Plans are small here, and are to have several parts all the same."""

KIB, MIB, DAY = 1024, 1024 * 1024, 86_400
SIZES = (0, 64 * KIB, 256 * KIB, 4 * MIB, 4 * MIB + 512, 8 * MIB + 64 * KIB, 12 * MIB)
"""Small disks, and sparse ones around the 4 MiB at which requests are cut and extents end."""

MET = ("death", "fault", "full point", "incremental point", "new disk restored", "rest")
"""What no run is without, or it proves nothing."""


class DiskLife(RuleBasedStateMachine):
    """The rules of a life. Its only state is the life itself."""

    seen: ClassVar[Counter[str]] = Counter()
    """What all lives of a run have met."""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.life = Life(self.seen)
        self.seen["life"] += 1

    def do(self, work: Coroutine[Any, Any, Any]) -> None:
        self.loop.run_until_complete(work)

    @initialize(
        size=st.sampled_from(SIZES[1:]),
        listing_rows=st.sampled_from([2, 1000]),
        gap_share=st.sampled_from([0.25, 0.0, float("inf")]),
        listing_gaps=st.sampled_from([50, 1]),
        samples=st.sampled_from([4, 0]),
        seed=st.integers(0, 99),
        diff=st.sampled_from(DIFFS),
    )
    def begin(
        self,
        size: int,
        listing_rows: int,
        gap_share: float,
        listing_gaps: int,
        samples: int,
        seed: int,
        diff: str,
    ) -> None:
        bring(self.life, Service(diff, refuses_copies=False))
        pace = replace(
            self.life.world.ports.pace,
            gap_share=gap_share,
            listing_gaps=listing_gaps,
            samples=samples,
            copy_concurrency=4,
        )
        self.do(self.life.begin(size, pace, listing_rows, seed))

    # ------------------------------------------------------------ the disk

    @rule(which=some, written=st.lists(places, min_size=1, max_size=4))
    def write(self, which: int, written: list[Place]) -> None:
        for place in written:
            self.life.write(self.life.disk_of(which), place)

    @rule(which=some, place=places, what=st.sampled_from(["same", "zeros"]))
    def rewrite(self, which: int, place: Place, what: str) -> None:
        self.life.write(self.life.disk_of(which), place, what)

    @rule(which=some, place=places, how_much=st.sampled_from(["some", "some", "the rest", "all"]))
    def clear(self, which: int, place: Place, how_much: str) -> None:
        self.life.clear(self.life.disk_of(which), place, how_much)

    @rule(which=some, size=st.sampled_from(SIZES), anew=st.sampled_from([False, False, True]))
    def resize(self, which: int, size: int, anew: bool) -> None:
        self.life.resize(self.life.disk_of(which), size, anew=anew)

    # ------------------------------------------------------------ what people ask for

    @rule(
        which=some,
        written=st.lists(places, max_size=3),
        days=st.sampled_from([None, 1]),
        served=st.integers(0, 25),
        trouble=st.lists(troubles, max_size=2),
    )
    def back_up(
        self,
        which: int,
        written: list[Place],
        days: int | None,
        served: int,
        trouble: list[Trouble],
    ) -> None:
        for place in written:
            self.life.write(self.life.disk_of(which), place)
        self.do(self.life.back_up(self.life.item_at(which), days))
        self.serve(served, 0, trouble)

    @rule(which=some, point=some, original=st.booleans())
    def restore(self, which: int, point: int, original: bool) -> None:
        wanted = self.life.point_at(self.life.item_at(which), point)
        if wanted:
            self.do(self.life.restore(wanted, original=original))

    @rule(which=some)
    def check(self, which: int) -> None:
        self.do(self.life.check(self.life.item_at(which)))

    @rule(which=some)
    def cancel(self, which: int) -> None:
        self.do(self.life.cancel(which))

    @rule(
        which=some,
        what=st.sampled_from(
            ["protect a restored disk", "stop", "protect", "protect", "delete", "undelete"]
        ),
    )
    def change_protection(self, which: int, what: str) -> None:
        self.do(self.life.change_protection(self.life.item_at(which), what))

    @rule(
        which=some,
        point=some,
        what=st.sampled_from(["hold", "release", "expire", "confirm", "weekly", "daily"]),
    )
    def keep_or_let_go(self, which: int, point: int, what: str) -> None:
        self.do(self.life.keep_or_let_go(self.life.item_at(which), point, what))

    # ------------------------------------------------------------ time and trouble

    @rule(count=st.integers(1, 25), seed=st.integers(0, 99), trouble=st.lists(troubles, max_size=3))
    def go_on(self, count: int, seed: int, trouble: list[Trouble]) -> None:
        self.serve(count, seed, trouble)

    def serve(self, count: int, seed: int, trouble: list[Trouble]) -> None:
        """The host serves so many messages, in some order; trouble comes while it does."""
        self.life.world.random.seed(seed)
        for each in trouble:
            bring(self.life, each)
        self.do(self.life.serve(count))

    @rule(
        which=some, place=places, what=st.sampled_from(["base", "replica", "hub", "rot", "scrawl"])
    )
    def interfere(self, which: int, place: Place, what: str) -> None:
        item = self.life.records.items.get(self.life.item_at(which))
        if item:
            interfere(self.life, item, Meanwhile("*", 0, what, which, place))

    @rule(seconds=st.sampled_from([30, 90, 3600, DAY, DAY, 8 * DAY, 15 * DAY]))
    def time_goes_by(self, seconds: int) -> None:
        self.life.world.ports.clock.advance(seconds)
        self.do(self.life.timers())

    @rule()
    def settle(self) -> None:
        self.do(come_to_rest(self.life))

    # ------------------------------------------------------------ what must hold

    @invariant()
    def no_transaction_was_wrong(self) -> None:
        """Though a step may have taken the complaint for a failure of its own."""
        self.seen["step"] += 1
        assert self.life.records.wrong == []

    @invariant()
    def nothing_is_unwatched(self) -> None:
        """Invariant 13."""
        watched, records = self.life.world.ports.due._watches, self.life.records
        for item in records.items.values():
            at_work = item.at_work or item.expiry_due
            assert not at_work or item.id in watched, f"{item.id} is at work and unwatched"
        for message, owner in records.outbox.items():
            assert owner in watched, f"{message} waits to be sent, and {owner} is unwatched"

    def teardown(self) -> None:
        try:
            if not sys.exc_info()[0]:
                self.do(end_well(self.life))
                self.no_transaction_was_wrong()
        finally:
            self.seen["death"] += self.life.world.crashes
            self.do(self.loop.shutdown_asyncgens())
            self.loop.close()


def test_every_point_of_any_life_restores(monkeypatch: pytest.MonkeyPatch) -> None:
    """Invariants 1, 2, 4, 5, 6, 8, 13, 16, 22, 27 to 33, in random lives; and the lives have met
    what they are for."""
    monkeypatch.setattr(plan, "PART_OPS", PART_OPS)
    DiskLife.seen.clear()
    run_state_machine_as_test(
        DiskLife,
        settings=settings(
            max_examples=LIVES,
            stateful_step_count=STEPS,
            suppress_health_check=list(HealthCheck),
            report_multiple_bugs=False,
        ),
    )
    for what, times in sorted(DiskLife.seen.items()):
        print(f"{times:8} {what}")
    assert DiskLife.seen["step"] > 20 * LIVES
    assert [what for what in MET if not DiskLife.seen[what]] == []
