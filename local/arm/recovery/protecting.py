"""What a request to protect asks for, and whether it may have it."""

from dataclasses import dataclass, replace
from datetime import datetime

from local.arm.answers import JsonObject, not_supported
from local.arm.recovery import protection
from local.arm.recovery.estate import Estate
from local.arm.recovery.item import Item, Protection
from local.arm.recovery.job import Operation
from local.arm.recovery.names import MACHINE_TYPE, MachineRef, VaultRef, parse_machine
from local.arm.recovery.policies import Policy
from local.arm.recovery.refusals import (
    another_protection_operation,
    invalid_input,
    invalid_protection,
    item_is_deleted,
    not_found,
    policy_for_other_workload,
    registered_elsewhere,
)
from local.arm.recovery.snapshots import number
from local.arm.recovery.timing import Durations
from local.arm.recovery.vault import Vault
from local.arm.recovery.worker import Worker

MOST_ITEMS = 1000
_CHANGES = (Operation.CONFIGURE, Operation.DISABLE, Operation.DELETE, Operation.UNDELETE)


@dataclass(frozen=True)
class Change:
    """The item as it will be, by which operation, in how many seconds."""

    item: Item
    operation: Operation
    seconds: float


class Protecting:
    """Reads requests against the estate; changes nothing."""

    def __init__(self, worker: Worker, estate: Estate, durations: Durations) -> None:
        self._worker = worker
        self._estate = estate
        self._durations = durations

    def plan(self, vault: Vault, name: str, body: JsonObject, now: datetime) -> Change:
        """What a PUT of the item `name` does. Raises ArmError."""
        given: JsonObject = body.get("properties") or {}
        if given.get("protectedItemType") != MACHINE_TYPE:
            raise not_supported("items of other types than " + MACHINE_TYPE)
        if given.get("protectionState") not in (None, *Protection):
            raise not_supported(f"the protection state {given['protectionState']}")
        item = self._estate.find_item(vault, name)
        if item is not None:
            self.require_idle(item)
        if item is not None and item.is_deleted:
            return self._undelete(item, given)
        if given.get("protectionState") == Protection.STOPPED.value:
            return self._stop(item, name)
        if item is None:
            item = self._new_item(vault, name, given)
            return self._under_policy(vault, item, given, now, self._durations.enable)
        return self._under_policy(vault, item, given, now, self._durations.reconfigure)

    def require_idle(self, item: Item) -> None:
        """Raises 409 while another change of the item's protection is under way."""
        if any(job.operation in _CHANGES for job in self._estate.running(item)):
            raise another_protection_operation()

    def status_of(self, body: JsonObject) -> JsonObject:
        """The answer of `backupStatus`: all names in lower case (recorded)."""
        machine = parse_machine(body.get("resourceId") or "")
        if body.get("resourceType") != "VM" or machine is None:
            raise invalid_input("resourceType must be VM, resourceId a virtual machine's id")
        item = self._estate.item_of(machine)
        protected = item is not None and not item.is_deleted
        return {
            "protectionStatus": "Protected" if protected else "NotProtected",
            **({"vaultId": item.vault} if item and protected else {}),
            "fabricName": "Azure",
            "containerName": machine.container_name.lower(),
            "protectedItemName": machine.item_name.lower(),
            **({"policyName": item.policy or ""} if item and protected else {}),
            "protectedItemsCount": 0,
            "objectType": "BackupStatusResponse",
        }

    def _undelete(self, item: Item, given: JsonObject) -> Change:
        if not given.get("isRehydrate"):
            raise item_is_deleted()
        return Change(protection.undeleted(item), Operation.UNDELETE, self._durations.reconfigure)

    def _stop(self, item: Item | None, name: str) -> Change:
        if item is None:
            raise not_found(f"The protected item '{name}'")
        return Change(protection.stopped(item), Operation.DISABLE, self._durations.reconfigure)

    def _new_item(self, vault: Vault, name: str, given: JsonObject) -> Item:
        machine = self._machine(vault, name, given)
        others = self._estate.item_of(machine)
        if others is not None:
            raise registered_elsewhere()
        if len(self._estate.items_of(vault)) >= MOST_ITEMS:
            raise invalid_protection(f"a vault protects at most {MOST_ITEMS} machines")
        return Item(
            id=vault.ref.item_id(machine),
            vault=vault.id,
            machine=machine,
            policy=None,
            state=Protection.PENDING,
            data_id=number(),
            collection=f"AzureBackup_{machine.name}_{number()}",
            source_id=given["sourceResourceId"],
        )

    def _machine(self, vault: Vault, name: str, given: JsonObject) -> MachineRef:
        """The machine, in the spelling of its creation."""
        machine = parse_machine(given.get("sourceResourceId") or "")
        if machine is None or machine.item_name.casefold() != name.casefold():
            raise invalid_protection("sourceResourceId does not name the machine in the path")
        vm = self._worker.machine(machine)
        if vm is None:
            raise invalid_protection(f"there is no machine {machine.id}")
        if vm.location.casefold() != vault.location.casefold():
            raise invalid_protection(
                f"the machine is in {vm.location}, the vault in {vault.location}"
            )
        return MachineRef(machine.subscription, vm.group, vm.name)

    def _under_policy(
        self, vault: Vault, item: Item, given: JsonObject, now: datetime, seconds: float
    ) -> Change:
        policy = self._policy(vault.ref, given.get("policyId") or "")
        known = self._estate.policy(item)
        if known is not None and known.kind == "V2" and policy.kind == "V1":
            raise invalid_protection("an item cannot go back to a standard policy")
        item = protection.under_policy(item, policy, now)
        if extended := given.get("extendedProperties"):
            item = replace(item, extended=dict(extended))
        return Change(item, Operation.CONFIGURE, seconds)

    def _policy(self, vault: VaultRef, policy_id: str) -> Policy:
        """One of the vault's own policies for machines."""
        name = policy_id.rpartition("/")[2]
        policy = self._estate.policy_with_id(vault.policy_id(name))
        if policy is None or policy_id.casefold() != vault.policy_id(name).casefold():
            raise invalid_protection(f"the vault has no policy '{policy_id}'")
        if not policy.is_for_machines:
            raise policy_for_other_workload()
        return policy
