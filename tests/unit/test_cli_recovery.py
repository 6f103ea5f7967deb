"""Recovery Services vaults at the command line."""

import asyncio
from pathlib import Path
from typing import Any

import pytest

from shared.contracts.policy import parse_policy
from shared.memory import Fault
from shared.model.deferral import Deferred
from shared.model.ids import ItemId, JobId, PointId, VaultName
from shared.model.point import Kind, Point
from shared.model.vault import Redundancy
from shared.steps.mirroring.vaults import vault_inside
from shared.steps.views import point_view
from tests.sim.mirrored import MACHINE, POLICY, RSV
from tests.unit.cli_world import World, world

__all__ = ["world"]

ID = RSV.url.replace("resourcegroups", "resourceGroups")
CREATE = ("vault", "create", "rsv", "--kind", "recovery-services", "--id", ID)
AT = ("--region", "West Europe")


def test_a_vault_is_made_while_somebody_waits(world: World) -> None:
    late = Fault(
        call="recovery.make", times=3, error=lambda: Deferred("vault is made", retry_after=5)
    )
    world.ports.faults.plan(late)
    made = world.json(*CREATE, *AT)
    assert late.fired == 3
    assert (made["kind"], made["url"], made["redundancy"]) == ("recovery-services", RSV.url, "GRS")
    assert made["region"] == "westeurope"


def test_a_vault_that_is_never_ready_is_not_waited_for_for_ever(world: World) -> None:
    never = Fault(
        call="recovery.make", times=10**6, error=lambda: Deferred("it is made", retry_after=5)
    )
    world.ports.faults.plan(never)
    assert world.error(*CREATE, *AT, status=1)["code"] == "Deferred"


@pytest.mark.parametrize(
    ("args", "told"),
    [
        (("--kind", "recovery-services"), "go together"),
        (("--id", ID), "go together"),
        (("--kind", "tape"), "--kind must be one of"),
        (("--kind", "recovery-services", "--id", "/nowhere"), "is not a Recovery Services vault"),
        (("--kind", "recovery-services", "--id", ID), "region of vault rsv is not said"),
        (("--kind", "recovery-services", "--id", ID, "--extent-size", "1GiB"), "storage vaults"),
        (("--kind", "recovery-services", "--id", ID, "--url", "http://a/b"), "storage vaults"),
        (("--kind", "recovery-services", "--id", ID, "--container", "c"), "storage vaults"),
    ],
)
def test_what_makes_no_vault(world: World, args: tuple[str, ...], told: str) -> None:
    assert told in world.error("vault", "create", "rsv", *args)["message"]


def test_a_vault_is_ours_under_one_name(world: World) -> None:
    """Under another, its items would be somebody else's."""
    world.json(*CREATE, *AT)
    again = ("vault", "create", "other", "--kind", "recovery-services", "--id", ID.upper(), *AT)
    assert "is vault 'rsv' already" in world.error(*again)["message"]
    twin = ID.replace("000000000001", "000000000002")
    assert world.json(*again[:-3], twin, *AT)["url"] == twin.lower()


def test_what_was_moved_is_told_where_the_vault_told_it(world: World) -> None:
    """Nothing, rather than nought."""
    point = vault_point(0)
    assert (point["copied_bytes"], point["size_bytes"]) == (None, None)
    assert vault_point(7)["copied_bytes"] == 7


def vault_point(copied_bytes: int) -> dict[str, Any]:
    return point_view(
        Point(
            id=PointId("web.point-1"),
            item_id=ItemId("web"),
            job_id=JobId(""),
            created_at=RSV.created_at,
            kind=Kind.FULL,
            kind_reason="",
            source=None,
            replica=None,
            mirrors="1",
            size_bytes=0,
            copied_bytes=copied_bytes,
        )
    )


def test_what_is_inside_and_not_ours(world: World) -> None:
    world.json(*CREATE, *AT)
    asyncio.run(enabled(world))
    shown = world.json("vault", "show", "rsv")
    assert (shown["items"], shown["machines"], shown["others"]) == (0, 1, [MACHINE])
    assert "holds" in world.error("vault", "delete", "rsv")["message"]
    assert world.json("vault", "delete", "rsv", "--keep") == {"name": "rsv", "deleted": True}
    assert world.json("vault", "list") == []


async def enabled(world: World) -> None:
    """Somebody protects a machine there."""
    ports = world.ports
    ports.machines.create(MACHINE, {})
    vault = await ports.catalog.vault(VaultName("rsv"))
    assert vault.redundancy is Redundancy.GRS
    await ports.recovery.put_policy(vault, "daily", {})
    await ports.recovery.enable(vault, MACHINE, "daily")
    ports.clock.advance(3600)
    inside = await vault_inside(ports, vault)
    assert inside is not None


def test_what_it_could_protect(world: World) -> None:
    world.json(*CREATE, *AT)
    assert world.json("vault", "discover", "rsv") == []
    world.ports.machines.create(MACHINE, {})
    assert world.json("vault", "discover", "rsv") == [{"url": MACHINE}]


def test_losses_are_listed(world: World, tmp_path: Path) -> None:
    world.json(*CREATE, *AT)
    file = tmp_path / "gold.yaml"
    file.write_text(POLICY)
    assert world.json("policy", "preview", str(file), "--vault", "rsv")["losses"] == []
    file.write_text(POLICY.replace('["02:00"]', '["02:00", "14:45"]'))
    losses = world.json("policy", "preview", str(file), "--vault", "rsv")["losses"]
    assert any("14:45" in loss for loss in losses)
    assert "14:45" in world.vaultline("policy", "preview", str(file), "--vault", "rsv").stdout
    assert "--from" in world.error("policy", "preview", str(file))["message"]


def test_a_policy_is_applied_with_losses_only_where_they_are_accepted(
    world: World, tmp_path: Path
) -> None:
    world.json(*CREATE, *AT)
    asyncio.run(known(world))
    file = tmp_path / "gold.yaml"
    file.write_text(POLICY.replace('["02:00"]', '["02:00", "14:45"]'))
    assert world.error("policy", "apply", str(file))["code"] == "PolicyNotExpressible"
    assert world.json("policy", "apply", str(file), "--accept-losses")["change"] == "changed"


async def known(world: World) -> None:
    """The vault has the policy."""
    await world.ports.catalog.put_policy(parse_policy(POLICY))
    vault = await world.ports.catalog.vault(VaultName("rsv"))
    await world.ports.recovery.put_policy(vault, "vaultline-gold", {})
