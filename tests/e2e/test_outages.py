"""Storage and Service Bus away for a while, and the whole stack stopped and started again."""

import time

import pytest

from local.components import Component
from local.storage.controls import Fault
from tests.e2e.disk import MIB
from tests.e2e.rig import Json, Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

SLOW_COPIES = Fault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=4000)
HALF_SECONDS = 10.0


@pytest.mark.fault(27, 58)
def test_bus_and_storage_are_away_for_20_seconds_in_mid_transfer(rig: Rig) -> None:
    """Invariant 6. Both outages overlap by half: bus alone, both, storage alone."""
    disk = rig.disk()
    disk.write(0, 5 * MIB)
    item = rig.protect(disk)
    contents = {rig.backup_point(item)["id"]: disk.content}
    disk.scribble()
    disk.write(MIB, MIB)
    with rig.storage_faults(SLOW_COPIES) as counts:
        job = rig.ask_backup(item)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        assert rig.stop(Component.SERVICE_BUS) == ["service-bus"]
        time.sleep(HALF_SECONDS)
    assert rig.job(job)["status"] == "InProgress"  # type: ignore[index]
    assert rig.stop(Component.STORAGE) == ["storage"]
    time.sleep(HALF_SECONDS)
    rig.start_bus()
    time.sleep(HALF_SECONDS)
    rig.start()
    assert rig.ended(job)["status"] == "Completed"
    contents[rig.points(item)[-1]["id"]] = disk.content
    rig.assert_restorable(item, contents)


def test_the_stack_is_stopped_and_started_again(rig: Rig) -> None:
    """Items, jobs and points are there again; an orchestration under way goes on; and nothing
    runs in between."""
    disk = rig.disk()
    disk.write(0, 3 * MIB)
    item = rig.protect(disk)
    point = rig.backup_point(item)["id"]
    url = rig.new_url()
    with rig.storage_faults(SLOW_COPIES) as counts:
        job = rig.ask_restore(item, point, url)
        until(lambda: counts()[0].fired, "a copy to begin", rig.story)
        before = _listings(rig, item, job)
        rig.stop(Component.HOST)
    assert rig.stop() == ["arm", "service-bus", "storage"]
    assert rig.processes == []
    rig.start_storage()
    assert _listings(rig, item, job) == before
    assert rig.job(job)["status"] == "InProgress"  # type: ignore[index]
    rig.start()
    assert rig.ended(job)["status"] == "Completed"
    assert rig.content(url) == disk.content


def _listings(rig: Rig, item: str, moving: str) -> list[list[Json]]:
    """Items, points and jobs, but the one that moves."""
    jobs = [each for each in rig.vaultline("jobs") if each["id"] != moving]
    return [rig.vaultline("items"), rig.points(item), jobs]
