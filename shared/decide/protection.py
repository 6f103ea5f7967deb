"""How an item comes under protection, leaves it, is deleted, and is had back (DESIGN §5).

A deleted item is first only marked: its points stay, whole, until `delete_after`. Then the
deletion begins, and cannot be taken back.
"""

from dataclasses import replace
from datetime import datetime, timedelta

from shared.decide.decision import Decision
from shared.decide.posting import expire_message
from shared.model.errors import AlreadyExists, Invalid
from shared.model.item import Item, ProtectionState
from shared.model.job import Job
from shared.model.ledger import Insert, Versioned, update
from shared.model.vault import Vault, VaultKind

KEPT_IN_REGION = frozenset({VaultKind.RECOVERY_SERVICES})
"""Kinds of vault that protect only what lies in their own region."""


def check_region(vault: Vault, source_region: str) -> None:
    """Raises `Invalid` where the vault's kind may not protect a source of that region; an unknown
    region is empty. A storage vault may lie anywhere: that is what it is for."""
    if vault.kind not in KEPT_IN_REGION or (source_region and source_region == vault.region):
        return
    raise Invalid(
        f"vault {vault.name} protects only what lies in its own region, "
        f"{vault.region or 'which is not recorded'}; the source lies in "
        f"{source_region or 'an unknown one'}",
        code="VaultInAnotherRegion",
        action="Choose a vault of the source's region, or a storage vault.",
    )


def enter(row: Versioned[Item] | None, item: Item, done: Job) -> Decision[datetime]:
    """The item's row, its resumption, or its other choice of disks; the result is its first slot.
    Raises `AlreadyExists` where the id or the item is taken, `Invalid` where it is deleted."""
    if row is None:
        return Decision(item.first_slot, (Insert(item), Insert(done)))
    known = row.record
    check_same(known, item)
    known = replace(known, luns=item.luns)
    if known.state is not ProtectionState.PROTECTION_STOPPED:
        changed = () if known == row.record else (update(row, known),)
        return Decision(known.first_slot, (*changed, Insert(done)))
    state = ProtectionState.PROTECTED if known.base else item.state
    resumed = replace(known, state=state, policy=item.policy, first_slot=item.first_slot)
    return Decision(item.first_slot, (update(row, resumed), Insert(done)))


def check_same(known: Item, item: Item) -> None:
    """Raises `AlreadyExists` where the id or the policy is another's, `Invalid` where the item is
    deleted."""
    if (known.source, known.vault) != (item.source, item.vault):
        raise AlreadyExists(
            f"item {item.id} protects {known.source} in vault {known.vault} already",
            action="Choose another item id.",
        )
    if known.delete_after is not None or known.delete_data:
        raise _deleted(known)
    stopped = known.state is ProtectionState.PROTECTION_STOPPED
    if not stopped and known.policy != item.policy:
        raise AlreadyExists(
            f"item {item.id} is under policy {known.policy}, so it cannot be under "
            f"{item.policy}: one policy an item",
            action="Stop its protection first, or choose the policy it has.",
        )


def stop(row: Versioned[Item], done: Job, now: datetime, grace: timedelta | None) -> Decision[None]:
    """No more backups. With a `grace`, the item is deleted, for good after it; a second deletion
    puts that off no more. Raises `Invalid` where a deleted item is to be kept."""
    item = row.record
    deleted = item.delete_after is not None or item.delete_data
    if deleted and grace is None:
        raise _deleted(item)
    delete_after = item.delete_after
    if grace is not None and not deleted:
        delete_after = now + grace
    stopped = replace(
        item,
        state=ProtectionState.PROTECTION_STOPPED,
        delete_after=delete_after,
        expiry_due=True,
    )
    message = expire_message(item.id, done.id, now)
    return Decision(None, (update(row, stopped), Insert(done)), (message,))


def undelete(row: Versioned[Item], done: Job) -> Decision[None]:
    """The item as it was before its deletion: stopped, with all its points. Raises `Invalid`."""
    check_deleted(row.record)
    return Decision(None, (update(row, replace(row.record, delete_after=None)), Insert(done)))


def begin_deletion(row: Versioned[Item] | None, now: datetime) -> Decision[None]:
    """Where the item's time is over, everything of it goes from here on, by retention."""
    if row is None or row.record.delete_after is None or row.record.delete_after > now:
        return Decision(None)
    going = replace(row.record, delete_data=True, expiry_due=True)
    message = expire_message(going.id, "deletion", now)
    return Decision(None, (update(row, going),), (message,))


def check_deleted(item: Item) -> None:
    """Raises `Invalid` where there is no deletion, or none that could be taken back."""
    if item.delete_data:
        raise _deleted(item)
    if item.delete_after is None:
        raise Invalid(
            f"item {item.id} is not deleted",
            action=f"Nothing: `vaultline show {item.id}` shows its state.",
        )


def check_not_deleted(item: Item) -> None:
    """Raises `Invalid` where the item is deleted, though it could still be had back."""
    if item.delete_after is not None or item.delete_data:
        raise _deleted(item)


def check_ours(item: Item, done: str) -> None:
    """Raises `Invalid` where the item's points are a Recovery Services vault's, so that we cannot
    have that `done` to them."""
    if item.mirrors:
        raise Invalid(
            f"item {item.id} lives in Recovery Services vault {item.vault}: its points are not "
            f"{done} by us",
            code="NotOurs",
            action="Nothing: the vault itself sees to its points.",
        )


def _deleted(item: Item) -> Invalid:
    if item.delete_data or item.delete_after is None:
        return Invalid(
            f"item {item.id} is deleted, and its data is being removed",
            code="ItemDeleted",
            action="Wait until it is gone; then protect the disk anew.",
        )
    return Invalid(
        f"item {item.id} is deleted; its data is kept until {item.delete_after:%Y-%m-%d %H:%M}Z",
        code="ItemDeleted",
        action=f"Bring it back first: `vaultline undelete {item.id}`.",
    )
