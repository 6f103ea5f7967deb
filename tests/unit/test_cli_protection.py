"""Many disks on the command line: discovery, bulk protection, groups, vaults, deletion."""

import asyncio
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from shared.model.errors import Invalid
from shared.model.ids import DiskUrl, default_item_id
from tests.unit.cli_world import ITEM, NOW, SOURCE, VAULT_ACCOUNT, World, furnish, world
from tests.unit.test_cli_catalog import GOLD
from tests.unit.test_cli_requests import Obeying

__all__ = ["world"]

GIB = 1024**3
ROOT = SOURCE.rpartition("/")[0]
DISKS = [DiskUrl(f"{ROOT}/{name}.vhd") for name in ("db-1", "web-1", "web-2")]


@dataclass(frozen=True)
class Pipeline(Obeying):
    """Obeys at once; what it refuses is left in the failed job."""

    async def dead_letter(self, *_: str) -> None:
        pass


def pipeline(world: World) -> World:
    """The world with a vault, a policy and three disks, and a pipeline that obeys at once."""
    world.json("vault", "create", "main")
    world.json("policy", "apply", "-", stdin=GOLD)
    for url in DISKS:
        world.ports.storage.create(url, 1 << 20)
    world.ports = replace(world.ports, bus=Pipeline(world))  # type: ignore[arg-type]
    return world


def states(world: World) -> dict[str, str]:
    return {each["url"]: each["state"] for each in world.json("disks")}


def test_from_discovery_to_protection(world: World) -> None:
    """Registered, then InitialBackupPending: a job a disk, and one for the search."""
    pipeline(world)
    view = world.json("discover", ROOT, "--wait")
    assert (view["operation"], view["status"]) == ("Discover", "Completed")
    assert (view["found"], view["registered"]) == (3, 3)
    assert states(world) == dict.fromkeys(DISKS, "Registered")
    told = world.json("protect", "--prefix", f"{ROOT}/web-", "--vault", "main", "--wait")
    assert (told["asked"], told["completed"], told["failed"]) == (2, 2, 0)
    assert [job["source"] for job in told["jobs"]] == DISKS[1:]
    assert {job["operation"] for job in told["jobs"]} == {"ConfigureProtection"}
    assert states(world) == dict(
        zip(DISKS, ["Registered", *["InitialBackupPending"] * 2], strict=True)
    )
    assert "Registered" in world.vaultline("disks", "--prefix", f"{ROOT}/db").stdout
    assert len(world.json("disks", "--prefix", f"{ROOT}/db")) == 1


def test_protect_by_tag_and_prefix(world: World) -> None:
    pipeline(world)
    for url in DISKS[:2]:
        world.ports.storage.label(url, "backup", "yes")
    told = world.json("protect", "--tag", "backup=yes", "--prefix", f"{ROOT}/db", "--vault", "main")
    assert [job["source"] for job in told["jobs"]] == DISKS[:1]
    assert told["jobs"][0]["status"] == "NotStarted"
    found = world.json("discover", ROOT, "--tag", "backup=yes", "--wait")
    assert found["found"] == 2


def test_protect_from_a_list_tells_each_ones_fate(world: World, tmp_path: Path) -> None:
    """One does not exist, one is protected under another policy, one has a bad id: three fail,
    and the fourth is protected."""
    pipeline(world)
    world.json("protect", DISKS[0], "--vault", "main", "--id", "db", "--policy", "gold", "--wait")
    file = tmp_path / "disks.txt"
    file.write_text(
        f"# the farm\n{DISKS[0]}\n{DISKS[1]} web-one  # by its own id\n\n{ROOT}/gone.vhd\n",
        encoding="utf-8",
    )
    told = world.json("protect", "--from", str(file), "--vault", "main", "--wait", status=1)
    assert (told["asked"], told["completed"], told["failed"]) == (3, 1, 2)
    by_item = {job["item_id"]: job for job in told["jobs"]}
    assert "under policy gold" in by_item["db"]["error"]["message"]
    assert by_item["web-one"]["status"] == "Completed"
    gone = by_item[default_item_id(DiskUrl(f"{ROOT}/gone.vhd"))]
    assert gone["error"]["code"] == "SourceNotFound"
    assert {item["id"] for item in world.json("items")} == {"db", "web-one"}
    words = world.vaultline("protect", "--from", str(file), "--vault", "main", "--wait")
    assert "3 asked for, 1 completed, 2 failed." in words.stdout
    assert words.exit_code == 1


def test_bulk_protection_twice_is_protection_once(world: World) -> None:
    """Also where a disk was protected under a name of its own before."""
    pipeline(world)
    world.json("protect", DISKS[0], "--vault", "main", "--id", "db", "--wait")
    for _ in range(2):
        told = world.json("protect", "--prefix", ROOT, "--vault", "main", "--wait")
        assert told["failed"] == 0
    assert len(world.json("items")) == 3
    assert "db" in {job["item_id"] for job in told["jobs"]}


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("protect", "--vault", "main"), "name the disks in one way"),
        (("protect", SOURCE, "--prefix", ROOT, "--vault", "main"), "name the disks in one way"),
        (("protect", "--prefix", ROOT, "--id", "x1", "--vault", "main"), "--id is for one SOURCE"),
        (("protect", "--prefix", ROOT), "Missing option '--vault'"),
        (("protect", "--prefix", f"{ROOT}/none", "--vault", "main"), "there is no page blob"),
        (("protect", "--prefix", "nowhere", "--vault", "main"), "--prefix must be a URL"),
        (("protect", "--tag", "backup", "--vault", "main"), "--tag must be a blob index tag"),
        (("protect", "--from", "/none", "--vault", "main"), "cannot read /none"),
        (("protect", SOURCE, "--group", "zap"), "there is no group 'zap'"),
        (("discover", "nowhere"), "scope.url must be a URL"),
        (("discover", f"{ROOT}?sig=x"), "without SAS"),
        (("discover", ROOT, "--tag", "x"), "scope.tag must be a blob index tag"),
        (("undelete", "disk-1"), "is not deleted"),
        (("undelete", "disk-2"), "there is no item"),
        (("group", "create", "g1", "--policy", "gold", "--vault", "main"), "not a group name"),
        (("group", "create", "web", "--policy", "zap", "--vault", "main"), "no policy 'zap'"),
        (("group", "create", "web", "--policy", "default", "--vault", "zap"), "no vault 'zap'"),
        (("group", "show", "zap"), "there is no group 'zap'"),
        (("group", "size", "zap", "--disks", "3"), "belong together"),
        (("vault", "show", "zap"), "there is no vault 'zap'"),
        (("vault", "delete", "main"), "cannot be deleted: it holds 1 item(s): disk-1"),
        (("vault", "create", "main", "--redundancy", "RAID"), "must be one of LRS, GRS, ZRS"),
        (("vault", "create", "main", "--region", "eu-1"), "not a region"),
        (("vault", "create", "main", "--redundancy", "zrs"), "is fixed in its region"),
        (("vault", "create", "main", "--extent-size", "big"), "not a size such as 64GiB"),
        (("vault", "create", "main", "--extent-size", "4097KiB"), "whole multiples of 4 MiB"),
    ],
)
def test_bad_input_is_refused_in_words(world: World, args: tuple[str, ...], words: str) -> None:
    furnish(world)
    assert words in world.error(*args)["message"]


def test_a_vaults_redundancy_is_fixed_by_its_first_item(world: World) -> None:
    made = world.json("vault", "create", "two", "--region", "West Europe", "--redundancy", "grs")
    assert (made["region"], made["redundancy"]) == ("westeurope", "GRS")
    assert world.json("vault", "create", "two") == made
    assert world.json("vault", "create", "two", "--redundancy", "ZRS")["redundancy"] == "ZRS"
    assert f"{VAULT_ACCOUNT}/two" in world.ports.containers.made
    assert world.json("vault", "delete", "two") == {"name": "two", "deleted": True}
    assert world.json("vault", "list") == []


def test_the_size_of_extents_is_for_items_to_come(world: World) -> None:
    assert world.json("vault", "create", "main")["extent_bytes"] == 64 * GIB
    protected = world.json("vault", "create", "main", "--extent-size", "128GiB")
    assert protected["extent_bytes"] == 128 * GIB
    assert world.json("vault", "create", "main")["extent_bytes"] == 128 * GIB


def test_a_vault_is_made_where_the_app_must_make_its_container(world: World) -> None:
    class Denied:
        async def make(self, url: str) -> None:
            raise Invalid("no", code="AccessDenied")

    world.ports = replace(world.ports, containers=Denied())  # type: ignore[arg-type]
    assert world.json("vault", "create", "main")["name"] == "main"


def test_a_vault_shows_what_it_holds(world: World) -> None:
    furnish(world)
    shown = world.json("vault", "show", "main")
    assert (shown["items"], shown["warnings"]) == (1, [])
    assert shown["stored_bytes"] == (1 << 30) + 2 * (3 << 20)
    assert shown["daily_bytes"] == pytest.approx((3 << 20) / 5, abs=1)
    assert "HOLDS AT MOST" in world.vaultline("vault", "show", "main").stdout


def test_a_vault_near_a_limit_says_so(world: World) -> None:
    points = furnish(world)
    huge = replace(points[2], id=f"{points[2].id}-x", size_bytes=7 << 40, created_at=NOW)
    world.put(huge)
    (warning,) = world.json("vault", "show", "main")["warnings"]
    assert "8 TiB" in warning


def test_a_deleted_item_is_shown_as_such_and_had_back(world: World) -> None:
    pipeline(world)
    world.json("protect", DISKS[0], "--vault", "main", "--id", "db", "--wait")
    world.json("stop", "db", "--delete-data", "--wait")
    shown = world.json("show", "db")
    assert shown["state"] == "ProtectionStopped"
    assert shown["delete_after"].startswith("2026-12-05T12:")
    assert "DELETED FOR GOOD" in world.vaultline("items").stdout
    for refused in (
        ("stop", "db"),
        ("backup", "db"),
        ("restore", "db", "--to", f"{ROOT}/new"),
    ):
        assert world.error(*refused)["code"] == "ItemDeleted"
    assert world.json("undelete", "db", "--wait")["status"] == "Completed"
    assert world.json("show", "db")["delete_after"] is None
    assert world.error("undelete", "db")["code"] == "InvalidInput"


# ---------------------------------------------------------------- groups


def test_a_group_of_items_under_one_policy(world: World) -> None:
    pipeline(world)
    made = world.json("group", "create", "web", "--policy", "gold", "--vault", "main")
    assert world.json("group", "create", "web", "--policy", "gold", "--vault", "main") == made
    told = world.json("protect", "--prefix", f"{ROOT}/web-", "--group", "web", "--wait")
    assert told["completed"] == 2
    shown = world.json("group", "show", "web")
    ids = [each["id"] for each in shown["items"]]
    assert {each["policy"] for each in shown["items"]} == {"gold"}
    assert len(ids) == 2
    world.json("protect", DISKS[0], "--vault", "main", "--id", "db", "--wait")
    error = world.error("group", "add", "web", "db")
    assert "under policy default" in error["message"]
    assert "under policy gold" in error["message"]
    assert (
        "under policy default"
        in world.json("protect", "--prefix", DISKS[0], "--group", "web", status=1)["jobs"][0][
            "error"
        ]["message"]
    )
    left = world.json("group", "remove", "web", ids[0])
    assert [each["id"] for each in left["items"]] == ids[1:]
    assert len(world.json("group", "add", "web", ids[0])["items"]) == 2
    assert "no item 'zap'" in world.error("group", "add", "web", "zap")["message"]
    assert ids[0] in world.vaultline("group", "show", "web").stdout
    refused = world.error("group", "create", "web", "--policy", "default", "--vault", "main")
    assert "has members under policy gold" in refused["message"]
    world.json("group", "delete", "web")
    assert world.json("group", "list") == []
    assert len(world.json("items")) == 3


def size(world: World, *more: str) -> dict[str, Any]:
    view: dict[str, Any] = world.json("group", "size", "web", *more)
    return view


def test_the_seeds_own_figure(world: World) -> None:
    """800 disks of 100 GB: 80 TB for one full copy."""
    pipeline(world)
    world.json("group", "create", "web", "--policy", "gold", "--vault", "main")
    planned = size(world, "--disks", "800", "--size-gb", "100", "--churn", "2", "--days", "30")
    assert planned["full_copy_bytes"] == 80 * 10**12
    assert planned["full_copy_tb"] == 80
    assert (planned["churn_pct"], planned["churn_from"]) == (2, "given")
    assert planned["daily_bytes"] == 1.6 * 10**12
    assert planned["warnings"] == []
    told = world.vaultline("group", "size", "web", "--disks", "800", "--size-gb", "100").stdout
    assert "80 TB" in told
    assert size(world, "--disks", "800", "--size-gb", "100")["churn_from"] == "assumed"
    many = size(world, "--disks", "90000", "--size-gb", "100")
    assert any("5 PiB" in warning for warning in many["warnings"])


def test_a_groups_size_by_what_its_items_show(world: World) -> None:
    furnish(world)
    world.json("group", "create", "web", "--policy", "default", "--vault", "main")
    world.json("group", "add", "web", ITEM)
    planned = size(world, "--days", "10")
    assert (planned["disks"], planned["full_copy_bytes"]) == (1, 1 << 30)
    assert planned["churn_from"] == "seen"
    assert planned["daily_bytes"] == pytest.approx((3 << 20) / 5, abs=1)
    assert planned["points_per_disk"] == 10
    assert size(world, "--churn", "100", "--days", "10")["stored_bytes"] == 10 << 30


def test_a_group_outlives_its_items(world: World) -> None:
    furnish(world)
    world.json("group", "create", "web", "--policy", "default", "--vault", "main")
    world.json("group", "add", "web", ITEM)
    asyncio.run(world.ports.groups.add(world.json("group", "show", "web")["name"], ["gone"]))  # type: ignore[list-item]
    assert [each["id"] for each in world.json("group", "show", "web")["items"]] == [ITEM]
