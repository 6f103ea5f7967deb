"""`vm check`, `vm extension …` and `explain`, over ports in memory."""

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.policy import default_policy
from shared.contracts.vm_snapshot import extension_of, settings_of, template
from shared.memory import Fault
from shared.model.errors import Invalid, Transient
from shared.model.ids import DiskUrl, VaultName
from shared.model.inspection import Inspected, Interface, SecurityGroup
from shared.model.inventory import KnownDisk
from shared.model.ledger import Insert
from shared.model.machine import OS_LUN, Os, Power
from shared.model.vault import Vault, VaultKind
from shared.steps.vm_check import check_vm
from tests.unit.cli_world import ITEM, NOW, World, item, world
from tests.unit.test_vm_network import rule
from tests.unit.test_vm_snapshot import DISKS, SECRET, task
from tests.unit.test_vm_snapshot_status import blob
from tests.unit.vm_seen import GROUP, VM, default_rules, disk, machine
from tests.unit.vm_seen import interface as seen_interface

__all__ = ["world"]

OWN_VAULT = f"{GROUP}/providers/microsoft.recoveryservices/vaults/ours"


@pytest.fixture
def vm(world: World) -> DiskUrl:
    """A Linux machine of two disks."""
    disks = {lun: DiskUrl(str(disk(lun).url)) for lun in (OS_LUN, 0)}
    for url in disks.values():
        world.ports.storage.create(url, 1 << 30)
    world.ports.machines.create(VM, disks, Os.LINUX)
    return VM


def place(world: World, **more: Any) -> None:
    world.ports.inspection.place(Inspected(machine=machine(os=Os.LINUX), **more))


def closed() -> Interface:
    group = SecurityGroup(name="nsg", group="rg", at="subnet", rules=(rule(200), *default_rules()))
    return seen_interface(security_groups=(group,))


def states(told: dict[str, Any]) -> dict[str, str]:
    return {each["code"]: each["state"] for each in told["findings"]}


def test_a_healthy_machine_exits_with_0_and_says_what_was_looked_at(
    world: World, vm: DiskUrl
) -> None:
    told = world.json("vm", "check", vm)
    assert (told["machine"], told["state"]) == (VM, "ok")
    assert set(states(told).values()) == {"ok"}
    assert all(each["fix"] is None for each in told["findings"])


def test_an_id_may_be_written_in_any_case(world: World, vm: DiskUrl) -> None:
    assert world.json("vm", "check", vm.upper())["machine"] == VM


def test_a_problem_exits_with_1_and_tells_the_fix(world: World, vm: DiskUrl) -> None:
    place(world, interfaces=(closed(),))
    told = world.json("vm", "check", vm, status=1)
    assert told["state"] == "problem"
    shown = world.vaultline("vm", "check", vm)
    assert shown.exit_code == 1
    assert "denies Azure Backup on port 443, by rule rule200 (priority 200)" in shown.output
    assert "  az network nsg rule create --resource-group rg --nsg-name nsg" in shown.output


def test_a_warning_alone_exits_with_0(world: World, vm: DiskUrl) -> None:
    world.ports.machines.machine(vm).power = Power.DEALLOCATED
    told = world.json("vm", "check", vm)
    assert told["state"] == "warning"
    assert states(told)["NotRunning"] == "warning"


def test_what_is_no_machine_is_bad_usage(world: World) -> None:
    assert "is not a virtual machine's id" in world.error("vm", "check", "vm1")["message"]
    assert world.error("vm", "check", VM)["code"] == "SourceNotFound"


async def protected_by(world: World, vault: Vault) -> None:
    ports = world.ports
    await ports.catalog.put_policy(default_policy())
    await ports.catalog.put_vault(vault)
    await ports.inventory.claim(KnownDisk(url=VM, size_bytes=0, registered_at=NOW, item=ITEM))


@pytest.mark.parametrize(("url", "code"), [(OWN_VAULT, "Protected"), ("/x", "ProtectedElsewhere")])
async def test_the_vault_of_its_own_item_is_no_other_one(
    world: World, vm: DiskUrl, url: str, code: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    kind = VaultKind.RECOVERY_SERVICES
    await protected_by(world, Vault(name=VaultName("main"), kind=kind, url=url, created_at=NOW))

    async def protection_of(machine: DiskUrl, region: str) -> str:
        return OWN_VAULT

    monkeypatch.setattr(world.ports.recovery, "protection_of", protection_of)
    await world.ports.ledger.commit(ITEM, [Insert(item(source=VM))])
    report = await check_vm(world.ports, vm)
    assert code in {each.code for each in report.findings}


@pytest.mark.parametrize("error", [Transient("vaults are busy"), Invalid("no right")])
def test_where_nobody_may_ask_the_vaults_that_is_said(
    world: World, vm: DiskUrl, error: Exception
) -> None:
    world.ports.faults.plan(Fault(call="recovery.protection_of", error=lambda: error))
    told = world.json("vm", "check", vm)
    assert states(told)["NotSeen"] == "warning"


def test_machines_are_listed_with_their_items(world: World, vm: DiskUrl) -> None:
    told = world.json("vm", "list", GROUP)
    assert told == [{"id": VM, "size_bytes": 2 << 30, "item_id": None}]
    known = KnownDisk(url=VM, size_bytes=0, registered_at=NOW, item=ITEM)
    asyncio.run(world.ports.inventory.claim(known))
    assert [each["item_id"] for each in world.json("vm", "list", GROUP)] == [ITEM]
    elsewhere = GROUP.replace("/rg", "/other")
    assert "There is no machine." in world.vaultline("vm", "list", elsewhere).output
    assert "names neither" in world.error("vm", "list", "rg")["message"]


# ---------------------------------------------------------------- the extension


def test_the_template_is_printed(world: World) -> None:
    printed = world.vaultline("vm", "extension", "template")
    assert json.loads(printed.output) == template()


def secrets() -> dict[str, Any]:
    return {
        "logsBlobUri": task().logs_blob,
        "statusBlobUri": task().status_blob,
        "disks": list(DISKS),
    }


def test_a_task_is_built_into_files_that_only_their_owner_can_read(
    world: World, tmp_path: Path
) -> None:
    given = ("--task", task().task_id, "--start", "2026-11-21T02:00:00", "--out", str(tmp_path))
    shown = world.vaultline("vm", "extension", "build", "-", *given, stdin=json.dumps(secrets()))
    assert shown.exit_code == 0, shown.output
    assert SECRET not in shown.output
    public, protected = (tmp_path / name for name in ("settings.json", "protected.json"))
    assert (json.loads(public.read_text()), json.loads(protected.read_text())) == settings_of(
        task()
    )
    assert protected.stat().st_mode & 0o077 == 0
    again = world.error(
        "vm", "extension", "build", "-", "--out", str(tmp_path), stdin=json.dumps(secrets())
    )
    assert "File exists" in again["message"]


def test_a_task_of_now_gets_an_id_of_its_own(world: World, tmp_path: Path) -> None:
    told = world.json(
        "vm", "extension", "build", "-", "--out", str(tmp_path), stdin=json.dumps(secrets())
    )
    assert told["starts_at"].startswith("2026-11-21T12:00")
    assert told["task_id"] == json.loads((tmp_path / "settings.json").read_text())["taskId"]


@pytest.mark.parametrize(
    "change", [{"disks": "all"}, {"logsBlobUri": "https://x.blob.core.windows.net/a/b"}]
)
def test_wrong_secrets_are_refused_before_anything_is_written(
    world: World, tmp_path: Path, change: dict[str, Any]
) -> None:
    text = json.dumps({**secrets(), **change})
    world.error("vm", "extension", "build", "-", "--out", str(tmp_path), stdin=text)
    assert list(tmp_path.iterdir()) == []


def test_a_template_is_not_validated(world: World) -> None:
    told = world.error("vm", "extension", "validate", "-", stdin=json.dumps(template()))
    assert "template" in told["message"]


def test_good_settings_are_told_without_their_secrets(world: World) -> None:
    resource = {"name": "VMSnapshot", "properties": extension_of(task(), Os.WINDOWS)}
    told = world.json("vm", "extension", "validate", "-", stdin=json.dumps(resource))
    assert told == {
        "task_id": task().task_id,
        "starts_at": "2026-11-21T02:00:00Z",
        "locale": "en-us",
        "protected": ["objectStr", "logsBlobUri", "statusBlobUri"],
    }


def test_a_secret_in_public_settings_is_refused_and_not_shown(world: World, tmp_path: Path) -> None:
    properties = extension_of(task(), Os.LINUX)
    properties["settings"]["logsBlobUri"] = task().logs_blob
    file = tmp_path / "extension.json"
    file.write_text(json.dumps(properties))
    shown = world.vaultline("vm", "extension", "validate", str(file))
    assert shown.exit_code == 2
    assert "settings.logsBlobUri holds a secret" in shown.output
    assert SECRET not in shown.output


@pytest.mark.parametrize("text", ["", "[]", '{"properties": 1}'])
def test_what_is_no_extension_is_bad_usage(world: World, text: str) -> None:
    world.error("vm", "extension", "validate", "-", stdin=text)


def test_a_status_is_read(world: World) -> None:
    told = world.json("vm", "extension", "status", "-", stdin=blob())
    assert (told["outcome"], told["name"]) == ("succeeded", "success")
    assert told["consistency"] == "file-system"
    failed = [{"isSuccessful": False, "snapshotUri": None, "errorMessage": "403"}]
    text = blob(76, "error", snapshotInfo=failed)
    shown = world.vaultline("vm", "extension", "status", "-", stdin=text)
    assert shown.exit_code == 1
    assert "FailedRetryableSnapshotFailedNoNetwork" in shown.output
    assert "0 of 1 snapshots taken, 403" in shown.output


# ---------------------------------------------------------------- explain


def test_a_code_is_explained_by_name_and_by_number(world: World) -> None:
    told = world.json("explain", "400196")
    assert told["code"] == "UserErrorGuestAgentStatusUnavailable"
    assert told == world.json("explain", "usererrorguestagentstatusunavailable")
    assert "walinuxagent" in world.vaultline("explain", "400196").output


def test_all_codes_are_listed(world: World) -> None:
    codes = [each["code"] for each in world.json("explain")]
    assert {"ExtensionSnapshotFailedNoNetwork", "GuestFailed"} <= set(codes)
    assert codes == sorted(codes, key=str.casefold)


def test_an_unknown_code_is_bad_usage(world: World) -> None:
    told = world.error("explain", "ExtensionSnapshotNoNetwork")
    assert "ExtensionSnapshotFailedNoNetwork" in told["recommended_action"]
