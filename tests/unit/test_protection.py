"""The rules of protection, one by one: names, regions, states, deletion."""

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.decide.protection import (
    begin_deletion,
    check_not_deleted,
    check_region,
    enter,
    stop,
    undelete,
)
from shared.model.errors import AlreadyExists, Invalid
from shared.model.ids import DiskUrl, PolicyName, VaultName
from shared.model.inventory import disk_key
from shared.model.item import Item, ProtectionState
from shared.model.ledger import Replace, Versioned
from shared.model.vault import Vault, VaultKind, region_name, vault_name
from tests.unit.cli_world import NOW, SOURCE, backup_job, item

GRACE = timedelta(days=14)
DONE = backup_job(NOW)
STOPPED = ProtectionState.PROTECTION_STOPPED


def row(**more: Any) -> Versioned[Item]:
    return Versioned(item(**more), "1")


def written(decision: Any) -> Item:
    """The item as the decision leaves it."""
    (change,) = [change for change in decision.changes if isinstance(change, Replace)]
    assert isinstance(change.record, Item)
    return change.record


@pytest.mark.parametrize("name", ["ab", "A1", "a-", "a" * 50, "Main-Vault-2"])
def test_vault_names_follow_azures_rule(name: str) -> None:
    assert vault_name(name) == name


@pytest.mark.parametrize("name", ["", "a", "1a", "-a", "a" * 51, "a_b", "a b", "ä1", "a\n"])
def test_other_vault_names_are_refused(name: str) -> None:
    with pytest.raises(Invalid, match="2 to 50 letters, digits or hyphens"):
        vault_name(name)


def test_regions_are_read_as_people_write_them() -> None:
    assert region_name("West Europe") == region_name("westeurope") == "westeurope"
    for wrong in ("", "eu-west", "1", "a" * 50):
        with pytest.raises(Invalid, match="not a region"):
            region_name(wrong)


@pytest.mark.parametrize(
    ("kind", "vault_region", "source_region", "allowed"),
    [
        ("storage", "westeurope", "eastus2", True),
        ("storage", "", "", True),
        ("recovery-services", "westeurope", "westeurope", True),
        ("recovery-services", "westeurope", "eastus2", False),
        ("recovery-services", "westeurope", "", False),
        ("recovery-services", "", "", False),
    ],
)
def test_where_a_vault_may_lie(
    kind: str, vault_region: str, source_region: str, allowed: bool
) -> None:
    vault = Vault(
        name=VaultName("main"),
        kind=VaultKind(kind),
        url="https://h/c",
        created_at=NOW,
        region=vault_region,
    )
    if allowed:
        check_region(vault, source_region)
        return
    with pytest.raises(Invalid, match="own region"):
        check_region(vault, source_region)


def test_every_writing_of_a_url_is_one_disk() -> None:
    same = ["http://127.0.0.1:10000/vlsource/disks/os%2Evhd", SOURCE.replace("http", "HTTP", 1)]
    assert {disk_key(DiskUrl(url)) for url in (*same, SOURCE)} == {disk_key(SOURCE)}
    others = [f"{SOURCE}x", SOURCE.replace("os", "OS"), SOURCE.replace("vlsource", "vlvault")]
    assert len({disk_key(DiskUrl(url)) for url in (SOURCE, *others)}) == 4


def test_an_item_is_entered_once_and_resumed() -> None:
    wanted = item(state=ProtectionState.INITIAL_BACKUP_PENDING, first_slot=NOW)
    assert enter(None, wanted, DONE).result == NOW
    again = enter(row(), wanted, DONE)
    assert again.result == item().first_slot
    assert len(again.changes) == 1
    resumed = written(enter(row(state=STOPPED), replace(wanted, policy=PolicyName("new")), DONE))
    assert (resumed.state, resumed.policy) == (wanted.state, "new")


@pytest.mark.parametrize(
    ("known", "words"),
    [
        ({"source": DiskUrl(f"{SOURCE}-2")}, "protects"),
        ({"vault": VaultName("other")}, "in vault other already"),
        ({"policy": PolicyName("gold")}, "under policy gold, so it cannot be under default"),
    ],
)
def test_an_item_keeps_its_disk_vault_and_policy(known: dict[str, Any], words: str) -> None:
    with pytest.raises(AlreadyExists, match=words):
        enter(row(**known), item(), DONE)


def test_a_deletion_is_first_a_date() -> None:
    gone = written(stop(row(), DONE, NOW, GRACE))
    assert gone.delete_after == NOW + GRACE
    assert (gone.state, gone.delete_data) == (STOPPED, False)
    again = written(stop(Versioned(gone, "2"), DONE, NOW + GRACE / 2, GRACE))
    assert again.delete_after == NOW + GRACE
    with pytest.raises(Invalid, match="is deleted; its data is kept until 2026-12-05"):
        stop(Versioned(gone, "2"), DONE, NOW, None)
    with pytest.raises(Invalid, match="is deleted"):
        enter(Versioned(gone, "2"), item(), DONE)
    with pytest.raises(Invalid, match="is deleted"):
        check_not_deleted(gone)


def test_a_stop_without_deletion_keeps_everything() -> None:
    assert written(stop(row(), DONE, NOW, None)).delete_after is None


def test_a_deletion_begins_when_its_time_is_over_and_not_before() -> None:
    gone = Versioned(written(stop(row(), DONE, NOW, GRACE)), "2")
    before = begin_deletion(gone, NOW + GRACE - timedelta(microseconds=1))
    assert before.changes == ()
    begun = written(begin_deletion(gone, NOW + GRACE))
    assert begun.delete_data
    assert begin_deletion(row(state=STOPPED), NOW + GRACE).changes == ()
    assert begin_deletion(None, NOW).changes == ()


def test_what_is_undeleted_is_as_before() -> None:
    stopped = written(stop(row(), DONE, NOW, None))
    gone = written(stop(row(), DONE, NOW, GRACE))
    assert written(undelete(Versioned(gone, "2"), DONE)) == stopped
    with pytest.raises(Invalid, match="not deleted"):
        undelete(row(), DONE)
    with pytest.raises(Invalid, match="being removed"):
        undelete(Versioned(replace(gone, delete_data=True), "3"), DONE)
