"""Answers that no recording shows, against the examples of Azure's API specification.

An example is written by hand, and shows some of what a resource can have: what it shows of ours
must be there, with the same types.
"""

import json
from typing import Any

import pytest

from tests.stack.arm_fixtures import REGION, Arm
from tests.stack.arm_replaying import RECORDINGS, kind_of
from tests.stack.azurite_fixtures import RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not RECORDINGS.is_dir(), reason="the recordings are not here (../shared/recordings)"
    ),
]

NOT_ASKED_FOR = {
    "excludeDisks",
    "diagnosticsProfile",
    "osProfile",
    "diskControllerType",
    "purchasePlan",
    "supportedCapabilities",
    "supportsHibernation",
    "encryptionSettingsCollection",
}
"""What the examples' machines have and the test's has not."""


def example(name: str) -> Any:
    path = RECORDINGS / "spec" / "compute" / f"{name}.json"
    return json.loads(path.read_text())["responses"]["200"]["body"]


def missing(shown: Any, ours: Any, where: str = "body") -> list[str]:
    """What the example shows and ours lacks, or has of another type."""
    if isinstance(shown, dict) and isinstance(ours, dict):
        return [
            each
            for key in shown.keys() - NOT_ASKED_FOR
            for each in (
                missing(shown[key], ours[key], f"{where}.{key}")
                if key in ours
                else [f"{where}.{key}"]
            )
        ]
    if isinstance(shown, list) and isinstance(ours, list):
        return missing(shown[0], ours[0], f"{where}[]") if shown and ours else []
    return [] if kind_of(shown) == kind_of(ours) else [f"{where}: {kind_of(ours)}"]


async def make_point(arm: Arm) -> str:
    """A Windows machine with a data disk, and a point of it; its id."""
    disks = {
        "osDisk": {"createOption": "FromImage", "osType": "Windows", "diskSizeGB": 1},
        "dataDisks": [{"lun": 1, "createOption": "Empty", "diskSizeGB": 1}],
    }
    profile = {"hardwareProfile": {"vmSize": "Standard_B1s"}, "storageProfile": disks}
    vm, collection = arm.id_of("virtualMachines", "vm"), arm.id_of("restorePointCollections", "c")
    await arm.call("PUT", vm, {"location": REGION, "properties": profile})
    source = {"location": REGION, "properties": {"source": {"id": vm}}}
    await arm.call("PUT", collection, source)
    await arm.call("PUT", f"{collection}/restorePoints/p", {})
    return f"{collection}/restorePoints/p"


async def test_a_restore_point_with_its_instance_view(arm: Arm, storage: RunningStorage) -> None:
    point = await make_point(arm)
    _, ours, _ = await arm.call("GET", f"{point}?$expand=instanceView")
    shown = example("restorePointExamples__RestorePoint_Get_WithInstanceView")
    assert missing(shown, ours) == []


@pytest.mark.parametrize("one", [True, False])
async def test_disk_restore_points(arm: Arm, one: bool) -> None:
    point = await make_point(arm)
    _, listed, _ = await arm.call("GET", f"{point}/diskRestorePoints")
    if one:
        _, ours, _ = await arm.call("GET", listed["value"][0]["id"])
        assert missing(example("diskRestorePointExamples__DiskRestorePoint_Get"), ours) == []
    else:
        name = "diskRestorePointExamples__DiskRestorePoint_ListByVmRestorePoint"
        assert missing(example(name), listed) == []


async def test_an_incremental_snapshot(arm: Arm) -> None:
    await make_point(arm)
    disks = (await arm.call("GET", f"{arm.group_path}/providers/Microsoft.Compute/disks"))[1]
    creation = {"createOption": "Copy", "sourceResourceId": disks["value"][0]["id"]}
    body = {
        "location": REGION,
        "tags": {"department": "Development", "project": "UpdateSnapshots"},
        "properties": {"creationData": creation, "incremental": True},
    }
    await arm.call("PUT", arm.id_of("snapshots", "s"), body)
    _, ours, _ = await arm.call("GET", arm.id_of("snapshots", "s"))
    assert missing(example("snapshotExamples__Snapshot_GetIncrementalSnapshot"), ours) == []
    assert ours["properties"]["osType"] == "Windows"
