"""What people can do, with the public SDKs, posted commands and the command line alone."""

import pytest

from local.storage.controls import REFUSE_PUT_PAGE_FROM_URL, Fault
from tests.e2e.disk import MIB
from tests.e2e.rig import Rig, task, until

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

SLOW_COPIES = Fault(operation="^PageBlob_UploadPagesFromURL$", delay_ms=3000)


def test_a_disk_is_protected_changed_and_restored_by_public_means(rig: Rig) -> None:
    """Acceptance 3: bytes are restored exactly and the listings tell the truth throughout."""
    disk = rig.disk(16 * MIB)
    disk.write(0, 6 * MIB)
    item = rig.protect(disk)
    assert rig.item(item)["state"] == "InitialBackupPending"
    first_content = disk.content
    first = rig.backup(item)
    assert rig.item(item)["state"] == "Protected"
