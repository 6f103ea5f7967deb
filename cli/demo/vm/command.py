"""The stage of the machines' story: a stack with a fast clock, two machines, two vaults."""

import asyncio
from collections.abc import Mapping
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from cli.demo.filesystem import FileSystems
from cli.demo.laptop import session_over
from cli.demo.slots import next_slots, policy_of
from cli.demo.story import Say
from cli.demo.vm.machine import GROUP, Disks, Machine, build_disks, make_machine
from cli.demo.vm.proof import VmProof
from cli.demo.vm.story import Protected, Stage, tell_azures, tell_ours
from cli.session import Session
from cli.waiting import patiently
from local import stack
from local.arm.controls import read_clock
from local.arm.people import Person
from local.components import TIME_FACTOR, StackConfig
from local.settings import RESTORE_GROUP, SUBSCRIPTION
from local.storage.azurite import VAULT
from shared.contracts.policy import parse_policy
from shared.model.ids import ItemId, PolicyName, VaultName
from shared.model.policy import Policy
from shared.model.vault import Redundancy, VaultKind
from shared.steps.vaults import WantedVault, make_vault

SETTINGS = {
    TIME_FACTOR: "120",
    "VAULTLINE_RESTORE_GROUPS": f"{RESTORE_GROUP},{GROUP}",
    "VAULTLINE_STAGING_ACCOUNT": f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"
    "/providers/Microsoft.Storage/storageAccounts/staging",
    "VAULTLINE_VAULT_LOOK_SECONDS": "2",
    "VAULTLINE_VAULT_WAIT_SECONDS": "5",
    "VAULTLINE_VAULT_MIRROR_SECONDS": "10",
}
"""Azure's half hours pass in a quarter of a minute: its own schedules know no shorter ones."""
FAR_REGION = "northeurope"
OURS, AZURES = VaultName("far"), VaultName("azure")
DAILY, NIGHTLY = PolicyName("demo"), PolicyName("nightly")
OURS_MIB, AZURES_MIB = (40, 32, 32), (40, 32)
"""What the disks' file systems have, the system's first: a machine with two data disks, and
one with one."""
_PROTECT_MARGIN = timedelta(seconds=10)
_UNTIL_SCHEDULE = timedelta(hours=3)
"""Of Azure's time: the first backup is done by then."""
_HALF_HOUR = timedelta(minutes=30)


async def vm_demo(config: StackConfig, tools: FileSystems, say: Say) -> VmProof:
    """Both machines' stories, side by side, and what they prove."""
    folder = config.data_dir / "demo"
    folder.mkdir()
    say(f"starting a stack, and making the disks of two machines, in {config.data_dir}")
    async with asyncio.TaskGroup() as group:
        started = group.create_task(asyncio.to_thread(stack.up, config))
        ours = group.create_task(_built(folder / "app", tools, OURS_MIB))
        azures = group.create_task(_built(folder / "erp", tools, AZURES_MIB))
    environment = started.result()
    person = Person(environment.arm_url, environment.subscription)
    disks = {"app": ours.result(), "erp": azures.result()}
    subnet, machines = await asyncio.to_thread(_cloud, person, disks)
    say("made two virtual machines in " + person.region)
    async with session_over(config) as session:
        stage = Stage(
            session=session, person=person, tools=tools, folder=folder, subnet=subnet, say=say
        )
        return await _told(stage, machines)


async def _built(folder: Path, tools: FileSystems, sizes_mib: tuple[int, ...]) -> Disks:
    return await asyncio.to_thread(build_disks, folder, tools, sizes_mib)


def _cloud(person: Person, disks: Mapping[str, Disks]) -> tuple[str, dict[str, Machine]]:
    """A network and the machines in it."""
    for name in (GROUP, RESTORE_GROUP):
        person.make_group(name)
    subnet = person.make_subnet(GROUP, "network")
    return subnet, {name: make_machine(person, name, each, subnet) for name, each in disks.items()}


async def _told(stage: Stage, machines: Mapping[str, Machine]) -> VmProof:
    catalog, clock = stage.ports.catalog, stage.ports.clock
    await _make_vaults(stage.session, stage.person)
    service_now = await asyncio.to_thread(read_clock, stage.person.endpoint)
    await catalog.put_policy(_nightly(service_now))
    slots = next_slots(clock.now(), _PROTECT_MARGIN)
    await catalog.put_policy(policy_of(slots[:1]))
    ours = _protected(stage, machines["app"], OURS, VaultKind.STORAGE, DAILY)
    azures = _protected(stage, machines["erp"], AZURES, VaultKind.RECOVERY_SERVICES, NIGHTLY)
    async with asyncio.TaskGroup() as group:
        told = [
            group.create_task(tell_ours(ours, slots[0])),
            group.create_task(tell_azures(azures)),
        ]
    return VmProof(machines=[task.result() for task in told])


def _protected(
    stage: Stage, machine: Machine, vault: VaultName, kind: VaultKind, policy: PolicyName
) -> Protected:
    return Protected(
        stage=stage,
        machine=machine,
        item=ItemId(machine.name),
        vault=vault,
        vault_kind=kind,
        policy=policy,
    )


async def _make_vaults(session: Session, person: Person) -> None:
    """One of ours in another region than the machines, one of Azure's in theirs."""
    container = f"{session.endpoints[VAULT.name]}/{OURS}"
    ours = WantedVault(name=OURS, url=container, region=FAR_REGION)
    await make_vault(session.ports, ours)
    azures = WantedVault(
        name=AZURES,
        kind=VaultKind.RECOVERY_SERVICES,
        url=f"{person.group_id(GROUP)}/providers/Microsoft.RecoveryServices/vaults/{AZURES}",
        region=person.region,
        redundancy=Redundancy.LRS,
    )
    await patiently(session, lambda: make_vault(session.ports, azures))


def _nightly(service_now: datetime) -> Policy:
    """Daily at the first half hour of Azure's time by which the first backup is surely done."""
    at = service_now + _UNTIL_SCHEDULE
    at = at.replace(minute=0, second=0, microsecond=0) + _HALF_HOUR * (1 + at.minute // 30)
    document: dict[str, Any] = {
        "name": NIGHTLY,
        "time_zone": "UTC",
        "schedule": {"frequency": "daily", "at": [at.strftime("%H:%M")]},
        "instant_restore_days": 2,
        "retention": {"daily": {"keep": 30}},
    }
    return parse_policy(document)
