"""What may come into a Recovery Services vault, and what is refused, with its reason."""

from dataclasses import replace
from typing import Any

import pytest

from shared.contracts.policy import parse_policy
from shared.model.errors import Invalid
from shared.model.ids import DiskUrl, ItemId, RequestId, VaultName, request_job
from shared.model.job import Job, Status
from shared.model.machine import OS_LUN
from shared.model.point import Point
from shared.model.vault import Redundancy, VaultKind
from shared.steps.holds import hold_point
from shared.steps.policies import apply_policy
from shared.steps.vaults import WantedVault, delete_vault, make_vault
from tests.sim.mirrored import (
    DISK,
    FAILURE,
    GROUP,
    MACHINE,
    POLICY,
    RSV,
    STAGING,
    SUBNET,
    a_vault,
    ask,
    back_up,
    days_pass,
    protect,
    protected,
    the_item,
)
from tests.sim.world import World

OTHER = ItemId("other")
THEIRS = replace(RSV, name=VaultName("theirs"), url=RSV.url.replace("vaults/rsv", "vaults/theirs"))
TWICE = POLICY.replace('["02:00"]', '["02:00", "14:45"]')


async def job_named(world: World, item: ItemId, **fields: Any) -> Job:
    request = await world.command(type="protect", item_id=item, **fields)
    await world.settle(2000)
    row = await world.ports.ledger.get(item, Job, request_job(item, "protect", RequestId(request)))
    assert row is not None
    return row.record


def code(job: Job) -> str:
    assert job.status is Status.FAILED
    assert job.error is not None
    return job.error.code


async def test_a_machine_has_one_item() -> None:
    """Invariant 18, across both kinds of vault."""
    world = await protected()
    for vault in ("vault", "rsv"):
        job = await job_named(world, OTHER, source=MACHINE, policy="gold", vault=vault)
        assert code(job) in ("SourceProtected", "MachineProtectedElsewhere")
    assert await world.item(OTHER) is None


@pytest.mark.parametrize("vault", ["vault", "rsv"])
async def test_a_machine_that_somebody_else_protects(vault: str) -> None:
    """Invariant 38: whoever saw to its protection, and into whichever kind of vault it is to
    come."""
    world = await a_vault()
    await world.ports.recovery.make(THEIRS)
    await world.ports.recovery.put_policy(THEIRS, "daily", {})
    await world.ports.recovery.enable(THEIRS, MACHINE, "daily")
    world.ports.clock.advance(3600)
    job = await job_named(world, OTHER, source=MACHINE, policy="gold", vault=vault)
    assert code(job) == "MachineProtectedElsewhere"
    assert job.error is not None
    assert THEIRS.url in job.error.message
    known = await world.ports.inventory.disk(MACHINE)
    assert known is None or known.item is None


async def test_a_vault_takes_machines_of_its_region() -> None:
    world = await a_vault()
    world.ports.machines.machine(MACHINE).region = "eastus2"
    job = await job_named(world, OTHER, source=MACHINE, policy="gold", vault="rsv")
    assert code(job) == "VaultInAnotherRegion"


async def test_all_of_a_machines_disks_are_backed_up_there() -> None:
    world = await a_vault()
    fields = {"source": MACHINE, "policy": "gold", "vault": "rsv", "disks": {"include": ["os"]}}
    assert code(await job_named(world, OTHER, **fields)) == "InvalidInput"


async def test_what_the_vault_cannot_do_is_refused_unless_accepted() -> None:
    world = await a_vault(policy=TWICE)
    fields = {"source": MACHINE, "policy": "gold", "vault": "rsv"}
    refused = await job_named(world, OTHER, **fields)
    assert code(refused) == "PolicyNotExpressible"
    assert refused.error is not None
    assert "14:45" in refused.error.message
    assert world.ports.recovery.shelf(RSV).policies == {}
    accepted = await job_named(world, OTHER, **fields, accept_losses=True)
    assert accepted.status is Status.COMPLETED


async def test_a_changed_policy_is_changed_in_its_vaults() -> None:
    world = await protected()
    before = dict(world.ports.recovery.shelf(RSV).policies)
    later = parse_policy(POLICY.replace("02:00", "03:30"))
    applied = await apply_policy(world.ports, later)
    after = world.ports.recovery.shelf(RSV).policies
    assert applied.change == "changed"
    assert list(after) == list(before) == ["vaultline-gold"]
    assert "T03:30" in str(after["vaultline-gold"])
    with pytest.raises(Invalid, match="cannot do all of policy gold"):
        await apply_policy(world.ports, parse_policy(TWICE))
    assert (await world.ports.catalog.policy(later.name)).version == applied.policy.version
    assert (await apply_policy(world.ports, parse_policy(TWICE), accept_losses=True)).items == 1
    assert (await apply_policy(world.ports, parse_policy(TWICE))).change == "unchanged"


async def test_a_vault_is_made_adopted_and_deleted() -> None:
    world = World()
    ports = world.ports
    wanted = WantedVault(name=RSV.name, url=RSV.url, kind=VaultKind.RECOVERY_SERVICES)
    with pytest.raises(Invalid, match="region"):
        await make_vault(ports, wanted)
    wanted = replace(wanted, region="westeurope")
    made = await make_vault(ports, wanted)
    assert (made.kind, made.redundancy) == (VaultKind.RECOVERY_SERVICES, Redundancy.GRS)
    assert await make_vault(ports, wanted) == made
    await delete_vault(ports, RSV.name)
    assert await ports.catalog.vaults() == []
    assert ports.faults.calls["recovery.delete"] == 1


async def test_a_vault_with_items_is_not_deleted_softly_deleted_ones_included() -> None:
    world = await protected()
    with pytest.raises(Invalid, match="os-disk"):
        await delete_vault(world.ports, RSV.name)
    await ask(world, "stop-protection", "stop", delete_data=True)
    with pytest.raises(Invalid, match="os-disk"):
        await delete_vault(world.ports, RSV.name)
    await days_pass(world, 16)
    await delete_vault(world.ports, RSV.name)


async def test_a_vault_with_machines_of_others_is_only_let_go() -> None:
    world = await a_vault()
    await world.ports.recovery.put_policy(RSV, "daily", {})
    await world.ports.recovery.enable(RSV, MACHINE, "daily")
    world.ports.clock.advance(3600)
    with pytest.raises(Invalid, match="web"):
        await delete_vault(world.ports, RSV.name)
    await delete_vault(world.ports, RSV.name, keep=True)
    assert RSV.name not in [vault.name for vault in await world.ports.catalog.vaults()]


TARGETS: dict[str, tuple[dict[str, Any], str]] = {
    "no staging account": (
        {"kind": "disks", "group": GROUP, "prefix": "r1"},
        "StagingAccountMissing",
    ),
    "some disks": (
        {
            "kind": "disks",
            "group": GROUP,
            "prefix": "r1",
            "disks": {"include": ["os"]},
            "staging_account": STAGING,
        },
        "InvalidInput",
    ),
    "no network": (
        {"kind": "alternate", "url": f"{MACHINE}-2", "staging_account": STAGING},
        "InvalidInput",
    ),
    "a machine that is there": (
        {"kind": "alternate", "url": MACHINE, "network": SUBNET, "staging_account": STAGING},
        "AlreadyExists",
    ),
    "a disk": (
        {"kind": "alternate", "url": f"{DISK}-new", "staging_account": STAGING},
        "InvalidInput",
    ),
}


@pytest.mark.parametrize("why", TARGETS)
async def test_restores_that_are_refused(why: str) -> None:
    target, code_ = TARGETS[why]
    world = await protected()
    await back_up(world)
    assert code(await ask(world, "restore", "restore", target=target)) == code_
    assert world.ports.recovery.restored == []


async def test_the_setting_names_the_staging_account() -> None:
    world = await protected()
    await back_up(world)
    world.ports = replace(world.ports, staging_account=STAGING)
    target = {"kind": "disks", "group": GROUP, "prefix": "r1"}
    assert (await ask(world, "restore", "restore", target=target)).status is Status.COMPLETED
    assert world.ports.recovery.restored[0].staging_account == STAGING


async def test_what_we_do_with_our_points_we_do_not_with_azures() -> None:
    world = await protected()
    await back_up(world)
    (point,) = await world.points()
    with pytest.raises(Invalid, match="which alone decides"):
        await hold_point(world.ports, point.id, "because")
    assert code(await ask(world, "consistency-check", "check")) == "NotOurs"


async def test_two_changes_of_protection_at_once() -> None:
    """The vault would refuse the second, so we do."""
    world = await protected()
    await world.command(type="stop-protection", item_id="os-disk", delete_data=False)
    await world.command(type="stop-protection", item_id="os-disk", delete_data=True)
    await world.settle(2000)
    stops = [job for job in await world.jobs() if ".stop-" in job.id]
    assert sorted(job.status for job in stops) == [Status.COMPLETED, Status.FAILED]
    assert {job.error.code for job in stops if job.error} == {"ProtectionChanges"}


async def test_a_backup_that_is_asked_for_too_early_waits_for_its_protection() -> None:
    world = await a_vault()
    fields = {"source": MACHINE, "policy": "gold", "vault": "rsv", "item_id": "os-disk"}
    await world.command(type="protect", **fields)
    while not world.ports.faults.calls["recovery.discover"]:
        assert await world.serve_one()
    job = await back_up(world)
    assert job.status is Status.COMPLETED, job.error


async def test_a_backup_that_waited_for_a_protection_in_vain_is_cancelled() -> None:
    world = await a_vault()
    fields = {"source": MACHINE, "policy": "gold", "vault": "rsv", "item_id": "os-disk"}
    world.ports.recovery.fail_next(RSV, "change", FAILURE)
    await world.command(type="protect", **fields)
    while not world.ports.faults.calls["recovery.discover"]:
        assert await world.serve_one()
    assert (await back_up(world)).status is Status.CANCELLED
    assert await world.item() is None


async def test_many_points_are_taken_over() -> None:
    """More than one transaction holds."""
    world = await protected()
    await back_up(world)
    kept = world.ports.recovery.shelf(RSV).kept[MACHINE]
    (only,) = kept.points.values()
    for number in range(250):
        kept.points[f"{number}"] = replace(only, name=f"{number}")
    await days_pass(world, 2)
    rows = [row.record async for row in world.ports.ledger.rows(ItemId("os-disk"), Point)]
    assert len(rows) >= 251
    kept.points = {only.name: only}
    await days_pass(world, 2)
    assert len(await world.points()) < 10
    assert (await the_item(world)).last_point_at is not None


async def test_many_machines_are_protected_one_job_each() -> None:
    world = await a_vault()
    for number in range(5):
        disk = DiskUrl(f"{DISK}-{number}")
        world.ports.storage.create(disk, 512)
        world.ports.machines.create(DiskUrl(f"{MACHINE}-{number}"), {OS_LUN: disk})
        fields = {"source": f"{MACHINE}-{number}", "policy": "gold", "vault": "rsv"}
        await world.command(type="protect", item_id=f"web-{number}", **fields)
    await protect(world)
    for number in range(5):
        (job,) = await world.jobs(ItemId(f"web-{number}"))
        assert job.status is Status.COMPLETED
    assert world.ports.faults.calls["recovery.put_policy"] <= 6
