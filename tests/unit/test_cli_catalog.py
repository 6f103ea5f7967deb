"""Vaults and policies on the command line."""

from pathlib import Path

import pytest

from tests.unit.cli_world import VAULT_ACCOUNT, World, world

__all__ = ["world"]

GOLD = """
name: gold
time_zone: Europe/Berlin
schedule: {frequency: daily, at: ["02:00"]}
retention: {daily: {keep: 30}, weekly: {keep: 4, on: [sunday]}}
"""


def test_a_vault_is_made_in_the_account_for_vaults(world: World) -> None:
    made = world.json("vault", "create", "Main")
    assert (made["name"], made["kind"]) == ("Main", "storage")
    assert made["url"] == f"{VAULT_ACCOUNT}/main"
    assert world.json("vault", "create", "Main") == made
    assert world.json("vault", "list") == [made]
    assert "storage" in world.vaultline("vault", "list").stdout


def test_a_vault_by_url_or_container(world: World) -> None:
    url = "https://acct.blob.core.windows.net/backups"
    assert world.json("vault", "create", "one", "--url", f"{url}/")["url"] == url
    made = world.json("vault", "create", "two", "--container", "replicas")
    assert made["url"] == f"{VAULT_ACCOUNT}/replicas"


@pytest.mark.parametrize(
    ("args", "words"),
    [
        (("x",), "not a vault name"),
        (("one", "--account", "zap"), "which are: vlvault"),
        (("one", "--container", "No"), "not a container name"),
        (("one", "--url", "https://h/c?sig=x"), "--url must be a plain URL"),
        (("one", "--url", "https://h"), "must name …/CONTAINER"),
        (("main", "--container", "other"), "lies in"),
    ],
)
def test_a_wrong_vault_is_refused(world: World, args: tuple[str, ...], words: str) -> None:
    world.json("vault", "create", "main")
    assert words in world.error("vault", "create", *args)["message"]
    assert len(world.json("vault", "list")) == 1


def test_a_policy_is_applied_once_and_versioned_by_change(world: World, tmp_path: Path) -> None:
    file = tmp_path / "gold.yaml"
    file.write_text(GOLD, encoding="utf-8")
    applied = world.json("policy", "apply", str(file))
    assert (applied["name"], applied["version"], applied["change"]) == ("gold", 1, "created")
    assert world.json("policy", "apply", str(file))["change"] == "unchanged"
    again = world.json("policy", "apply", "-", stdin=GOLD.replace("keep: 30", "keep: 31"))
    assert (again["version"], again["change"]) == (2, "changed")
    assert world.json("policy", "apply", "-", stdin=GOLD)["version"] == 3
    shown = world.json("policy", "show", "gold")
    assert shown["schedule"] == {"frequency": "daily", "at": ["02:00"]}
    assert shown["retention"]["daily"] == {"keep": 30}
    assert [each for each in world.json("policy", "list") if each["name"] == "gold"] == [shown]
    told = world.vaultline("policy", "list").stdout
    assert "daily at 02:00" in told
    assert "daily 30, weekly 4" in told


@pytest.mark.parametrize(
    ("text", "words"),
    [
        (GOLD.replace("keep: 30", "keep: 3"), "retention.daily.keep must be a whole number from 7"),
        (GOLD.replace("Berlin", "Bern"), "not a time zone"),
        ("", "a policy is an object"),
    ],
)
def test_a_wrong_policy_is_refused(world: World, text: str, words: str) -> None:
    assert words in world.error("policy", "apply", "-", stdin=text)["message"]
    assert [each["name"] for each in world.json("policy", "list")] == ["default"]


def test_a_policy_file_that_cannot_be_read(world: World, tmp_path: Path) -> None:
    assert "cannot read" in world.error("policy", "apply", str(tmp_path / "none"))["message"]
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    assert "not UTF-8" in world.error("policy", "apply", str(binary))["message"]
    assert "cannot read" in world.error("policy", "apply", str(tmp_path))["message"]
