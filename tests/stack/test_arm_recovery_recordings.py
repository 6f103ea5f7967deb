"""Every recorded exchange with Recovery Services, replayed against the fake over HTTP.

What differs from a recording is written down here with its reason; anything else that differs, and
any difference that is gone, fails. `docs/fidelity.md` tells the outcome in words.
"""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime

import pytest
from aiohttp import ClientSession

from local.arm.recovery.timing import Durations
from tests.stack.recovery_recording import RECORDINGS, Exchange, load, machines_in
from tests.stack.recovery_replay import Outcome, Replay, server_over
from tests.unit.recovery_world import MemoryDisk, MemoryVm, World, item_path, protection

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not RECORDINGS.is_dir(), reason="the recordings are not here (../shared/recordings)"
    ),
]

_GROUP = re.compile(r'(?i)/subscriptions/([^/"]+)/resourceGroups/([^/"?]+)')
_TIME = re.compile(r"20\d\d-\d\d-\d\dT\d\d(?::|%3A)\d\d")


@dataclass(frozen=True)
class Case:
    """A recording, how it is played, and what is known to differ: a pattern and its reason.

    A pattern is matched against `METHOD path: what`.
    """

    name: str
    known: Mapping[str, str] = field(default_factory=dict)
    exact: bool = False
    retries: bool = False
    soft_delete: bool = True
    has_account: bool = True
    scripted: frozenset[str] = frozenset()
    durations: Durations = Durations()  # noqa: RUF009


_OLD_CREATION = {
    r"^PUT vaults/[^/]+: header Azure-AsyncOperation": "vaults were made at once until 2021",
    r"^PUT vaults/[^/]+: \.properties\.provisioningState": "vaults were made at once until 2021",
}
_OLD_DELETION = {
    r"^DELETE vaults/[^/]+: status 202 instead of 200": "vaults were deleted at once until 2023",
}
_KPIS = {r"kpisHealths is missing": "a field that 2024 no longer has"}
_DELETED_VAULT = {
    r"^GET vaults/[^/]+/operationStatus/.*status 404 instead of 200": (
        "Azure answers either; the fake always 404, the one that clients get wrong"
    ),
}
_NEW_VAULT = {
    r"^GET vaults/[^/]+: \.properties\.(backupStorageVersion|securitySettings) is not recorded": (
        "Azure leaves these out for a moment, in some recordings"
    ),
}
_STATUS_URL = "2024 has a status URL besides"
_NO_STATUS_URL = {
    r"refreshContainers: header Azure-AsyncOperation": _STATUS_URL,
    r"/cancel: header Azure-AsyncOperation": _STATUS_URL,
    r"/operationResults/.*header Azure-AsyncOperation": _STATUS_URL,
}

_SLOWLY = Durations(accept=5, reconfigure=30)
_OF_2016 = {
    r"operationResults/[^/]+: \.properties\.extendedInfo is missing": "2016 gave it unasked",
}

CASES = (
    Case("backup2024_scenario", exact=True, known=_NEW_VAULT),
    Case("backup2024_restore", exact=True, known=_NEW_VAULT),
    Case("backup2024_job", exact=True),
    Case(
        "backup2024_policy",
        exact=True,
        known={
            **_DELETED_VAULT,
            r"backupProtectableItems: \.value has 8 entries instead of 7": (
                "somebody else's machine left the list without a discovery"
            ),
        },
    ),
    Case("backup2024_protection", exact=True, known={**_NEW_VAULT, **_DELETED_VAULT}),
    Case("backup2024_rp", exact=True, known=_DELETED_VAULT),
    Case(
        "backup2024_vault",
        exact=True,
        known={
            **_DELETED_VAULT,
            r"^GET vaults: \.value has": "a subscription's list, and trimmed",
            r"^GET vaults: \.nextLink is missing": "a subscription's list, and trimmed",
            r"^GET vaults: status 400 instead of 200": "the recording's own skip token",
        },
    ),
    Case(
        "hist_504_gateway_timeouts",
        known={
            **_OLD_DELETION,
            r"percentComplete is missing": "a field that 2024 no longer has",
            r"ConfiguredRPGenerationFrequency is missing": "a field that 2024 no longer has",
        },
    ),
    Case(
        "hist_backup_CWW_400052_diffcopy_failed",
        known={**_OLD_CREATION, **_KPIS},
        scripted=frozenset({"DiffCopyFailedToTransferData"}),
    ),
    Case("hist_backup_FAILED_400136_vm_not_found", known={**_OLD_CREATION, **_KPIS}),
    Case(
        "hist_restore_FAILED_400048_storage_account_gone",
        known={**_OLD_CREATION, **_OLD_DELETION, **_KPIS},
        has_account=False,
        durations=Durations(restore_vhds=6086),
    ),
    Case(
        "ps2018_job_cancel",
        known={**_OLD_CREATION, **_OLD_DELETION, **_NO_STATUS_URL},
        retries=True,
        soft_delete=False,
    ),
    Case(
        "net2016_cancel_job",
        known={**_OF_2016, r"/cancel: header Azure-AsyncOperation": _STATUS_URL},
        retries=True,
        durations=_SLOWLY,
    ),
    Case("net2016_enable_protection", known=_OF_2016, retries=True, durations=_SLOWLY),
    Case(
        "net2016_refresh_containers",
        known={r"refreshContainers: header Azure-AsyncOperation": _STATUS_URL},
        retries=True,
    ),
    Case("net2016_remove_protection", known=_OF_2016, retries=True, durations=_SLOWLY),
    Case("net2016_restore_disk", retries=True),
    Case(
        "transcribed_ps_2020_2025",
        known={r"^GET vaults/hiagaVault: \.": "the settings of that one vault"},
        retries=True,
    ),
)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_a_recording_is_answered_as_recorded(case: Case) -> None:
    outcome = await played(case)
    found = [f"{each.method} {each.path}: {each.what}" for each in outcome.differences]
    unknown = [each for each in found if not any(re.search(key, each) for key in case.known)]
    assert unknown == []
    gone = [key for key in case.known if not any(re.search(key, each) for each in found)]
    assert gone == [], "no longer differs: take it off the list and out of docs/fidelity.md"
    assert outcome.compared == sum(each.is_ours for each in load(case.name))
    assert outcome.injected == sum(each.is_disturbance for each in load(case.name) if each.is_ours)


async def played(case: Case) -> Outcome:
    """The outcome of replaying a case against a fake of its own."""
    exchanges = _in_order(case, load(case.name))
    world = World(hourly_reads=None, durations=case.durations)
    setting = Setting(case, exchanges, world)
    setting.make_groups()
    late, gone = setting.make_machines()
    async with server_over(world) as server, ClientSession() as http:
        replay = Replay(
            world,
            http,
            server.origin,
            exact=case.exact,
            retries=case.retries,
            late_machines=late,
            gone_machines=gone,
            scripted=case.scripted,
            soft_delete=case.soft_delete,
        )
        if case.name.startswith(tuple(_PROTECTED_BEFORE)):
            await setting.protect_before(replay)
        return await replay.play(exchanges)


def _in_order(case: Case, exchanges: list[Exchange]) -> list[Exchange]:
    """PowerShell's recorder put the cancellation after the poll that shows its effect."""
    if case.name == "ps2018_job_cancel":
        places = {1455: 1456, 1456: 1455}
        return sorted(exchanges, key=lambda each: places.get(int(each.seq), int(each.seq)))
    return exchanges


@dataclass(frozen=True)
class Setting:
    """What is there when a recording begins."""

    case: Case
    exchanges: Sequence[Exchange]
    world: World

    @property
    def _ours(self) -> list[Exchange]:
        return [each for each in self.exchanges if each.is_ours]

    def make_groups(self) -> None:
        """The groups of its paths and requests; and its day, for dates in requests."""
        for each in self.exchanges:
            for subscription, group in _GROUP.findall(each.path + json.dumps(each.request)):
                self.world.core.groups.ensure(subscription, group, self._region)
        days = _TIME.findall(json.dumps([each.body for each in self._ours]))
        if days:
            self.world.now = datetime.fromisoformat(f"{days[0].replace('%3A', ':')}:00+00:00")

    @property
    def _region(self) -> str:
        bodies = [each.body for each in self._ours if isinstance(each.body, dict)]
        return next((body["location"] for body in bodies if "location" in body), "westus")

    def make_machines(self) -> tuple[list[MemoryVm], list[str]]:
        """Its machines; those that come with a discovery, and those that go with it, apart."""
        listings = [
            {item["properties"]["virtualMachineId"].casefold() for item in each.body["value"]}
            for each in self._ours
            if each.path.endswith("backupProtectableItems") and each.status == 200
        ]
        listed = set().union(*listings)
        early = listings[0] if listings else set()
        late = []
        for found in machines_in(self.exchanges):
            key = found.id.casefold()
            region = self._region if key in listed or not listings else "elsewhere"
            vm = replace(found, location=region, disks=(self._disk(found),))
            if key in listed - early:
                late.append(vm)
            else:
                self.world.cloud.machines[key] = vm
        if not self.case.has_account:
            self.world.exports.account = "another"
        refreshed = any("refreshContainers" in each.path for each in self._ours)
        return late, sorted(early - listings[1]) if refreshed and len(listings) > 1 else []

    def _disk(self, vm: MemoryVm) -> MemoryDisk:
        vhd = self.world.cloud.keep(b"bytes")
        name = f"{vm.name}_OsDisk_1"
        return MemoryDisk(f"{vm.id}-{name}", name, None, 127 << 30, "Premium_LRS", None, vhd)

    async def protect_before(self, replay: Replay) -> None:
        """These begin with a vault and a protected machine; in 2016, of types that are no more."""
        vault = next(each.path for each in self._ours).partition("/vaults/")
        name = vault[2].partition("/")[0]
        path = f"{vault[0]}/vaults/{name}"
        vm = MemoryVm(*_machine_before(self.case.name, path))
        vm = replace(vm, disks=(self._disk(vm),))
        self.world.cloud.machines[vm.id.casefold()] = vm
        await self.world.make_vault(path)
        item = item_path(vm, path)
        await self.world.answer("PUT", item, protection(vm, "DefaultPolicy", path))
        self.world.pass_time(seconds=40)
        await self._back_up_before(item, replay)
        replay.names["RecoveryServicesBVTD"] = "RecoveryServices"
        replay.names['"Microsoft.ClassicCompute/virtualMachines"'] = (
            f'"Microsoft.Compute/virtualMachines", "sourceResourceId": "{vm.id}"'
        )

    async def _back_up_before(self, item: str, replay: Replay) -> None:
        """One backup, cancelled where the recording says that the last one was."""
        request = {"properties": {"objectType": "IaasVMBackupRequest"}}
        await self.world.answer("POST", f"{item}/backup", request)
        if "cancel" in self.case.name:
            listed = await self.world.get(f"{item.partition('/backupFabrics/')[0]}/backupJobs")
            await self.world.answer("POST", f"{listed['value'][0]['id']}/cancel")
        self.world.pass_time(hours=1)
        for point in await self.world.points(item):
            replay.names["13738976139650"] = point["name"]


_PROTECTED_BEFORE = {
    "net2016": ("arpittestresourcegroup", "vkencryrestore"),
    "transcribed": ("hiagarg", "hiaga-adhoc-vm"),
}
"""Recordings that begin with a protected machine: its resource group and name."""


def _machine_before(recording: str, vault: str) -> tuple[str, str, str]:
    group, name = _PROTECTED_BEFORE[recording.partition("_")[0]]
    scope = f"/subscriptions/{vault.split('/')[2]}/resourceGroups/{group}"
    return f"{scope}/providers/Microsoft.Compute/virtualMachines/{name}", name, group
