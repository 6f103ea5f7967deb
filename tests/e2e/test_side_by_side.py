"""Work on one item that overlaps with other work on it."""

import pytest

from local.storage.controls import Fault
from tests.e2e.disk import MIB
from tests.e2e.rig import Rig, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

SLOW_TO_READ_ITS_PLAN = Fault(
    operation="^Blob_Download$", path=r"\.plans/.*\.restore-", delay_ms=6000, times=1
)


@pytest.mark.fault(14)
def test_a_restore_goes_on_beside_a_backup_and_its_retention_run(rig: Rig) -> None:
    """Invariant 8: what a retention run tidies away is not what a restore still works by."""
    disk = rig.disk()
    disk.write(0, 2 * MIB)
    item = rig.protect(disk)
    point, content = rig.backup_point(item)["id"], disk.content
    rig.at_rest()
    disk.write(0, MIB)
    url = rig.new_url()
    with rig.storage_faults(SLOW_TO_READ_ITS_PLAN) as counts:
        restore = rig.ask_restore(item, point, url)
        until(lambda: counts()[0].fired, "the plan to be read", rig.story)
        rig.backup(item)
        rig.drained("retention")
        assert rig.job(restore)["status"] == "InProgress"  # type: ignore[index]
        done = rig.ended(restore)
    assert done["status"] == "Completed", done
    assert rig.content(url) == content
