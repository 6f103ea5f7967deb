"""Discovery and protection: machines, containers, items."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from local.arm.answers import Answer, JsonObject
from local.arm.core import Core
from local.arm.paging import listed
from local.arm.recovery import protection
from local.arm.recovery.async_answers import AsyncAnswers, find_operation, status_body
from local.arm.recovery.estate import Estate
from local.arm.recovery.filters import agrees, read_filter
from local.arm.recovery.item import Item
from local.arm.recovery.item_bodies import (
    container_body,
    item_body,
    protectable_body,
    registration,
)
from local.arm.recovery.job import Operation
from local.arm.recovery.names import MANAGEMENT_TYPE
from local.arm.recovery.protecting import Change, Protecting
from local.arm.recovery.refusals import item_is_deleted, not_found
from local.arm.recovery.timing import Durations
from local.arm.recovery.vault import Vault
from local.arm.recovery.vault_routes import VAULT
from local.arm.recovery.worker import Worker
from local.arm.routing import Call, Route

FABRIC = VAULT + "/backupFabrics/{fabric}"
CONTAINER = FABRIC + "/protectionContainers/{container}"
ITEM = CONTAINER + "/protectedItems/{item}"
_BY_TYPE = frozenset({"backupManagementType"})
_OF_CONTAINERS = frozenset({"backupManagementType", "friendlyName", "status"})
_OF_ITEMS = frozenset({"backupManagementType", "itemType", "policyName", "friendlyName"})


def item_base(vault: Vault, call: Call) -> str:
    """The item in a call's path as the call spells it: so status URLs repeat it."""
    params = call.params
    return (
        f"{vault.id}/backupFabrics/{params['fabric']}"
        f"/protectionContainers/{params['container']}/protectedItems/{params['item']}"
    )


class ItemRoutes:
    """From a stale list of machines to a protected item, and back."""

    def __init__(self, core: Core, estate: Estate, worker: Worker, durations: Durations) -> None:
        self._core = core
        self._estate = estate
        self._worker = worker
        self._durations = durations
        self._answers = AsyncAnswers(core)
        self._protecting = Protecting(worker, estate, durations)

    def routes(self) -> Sequence[Route]:
        return [*self._discovery(), *self._items()]

    def _discovery(self) -> Sequence[Route]:
        refresh, result = "/refreshContainers", "/operationResults/{operation}"
        gone = VAULT + "/backupDeletedProtectionContainers"
        return [
            Route(
                "GET",
                VAULT + "/backupProtectableItems",
                "BackupProtectableItems_List",
                self._protectable,
            ),
            Route("POST", FABRIC + refresh, "ProtectionContainers_Refresh", self._refresh),
            Route(
                "GET",
                FABRIC + result,
                "ProtectionContainerRefreshOperationResults_Get",
                self._refresh_result,
            ),
            Route(
                "GET",
                FABRIC + "/operationsStatus/{operation}",
                "ProtectionContainerRefreshOperationStatuses_Get",
                self._status,
            ),
            Route(
                "GET",
                VAULT + "/backupProtectionContainers",
                "BackupProtectionContainers_List",
                self._containers,
            ),
            Route("GET", gone, "DeletedProtectionContainers_List", self._deleted_containers),
            Route("GET", CONTAINER, "ProtectionContainers_Get", self._container),
        ]

    def _items(self) -> Sequence[Route]:
        return [
            Route("GET", VAULT + "/backupProtectedItems", "BackupProtectedItems_List", self._list),
            Route("GET", ITEM, "ProtectedItems_Get", self._get),
            Route("PUT", ITEM, "ProtectedItems_CreateOrUpdate", self._put),
            Route("DELETE", ITEM, "ProtectedItems_Delete", self._delete),
            Route(
                "GET",
                ITEM + "/operationsStatus/{operation}",
                "ProtectedItemOperationStatuses_Get",
                self._status,
            ),
            Route(
                "GET",
                ITEM + "/operationResults/{operation}",
                "ProtectedItemOperationResults_Get",
                self._result,
            ),
            Route(
                "POST",
                "/subscriptions/{subscription}/providers/Microsoft.RecoveryServices"
                "/locations/{region}/backupStatus",
                "BackupStatus_Get",
                self._backup_status,
            ),
        ]

    # --- discovery ----------------------------------------------------------------------------

    async def _protectable(self, call: Call) -> Answer:
        """What the last discovery found and is in no vault yet."""
        vault = self._estate.vault(call)
        wanted = read_filter(call.query, _BY_TYPE)
        machines = [
            protectable_body(vault, machine)
            for machine in vault.known_machines
            if agrees(wanted, {"backupManagementType": MANAGEMENT_TYPE})
            and self._estate.item_of(machine) is None
        ]
        return listed(call, machines)

    async def _refresh(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        operation = self._core.operations.begin(call, self._durations.refresh)
        ends_at = call.now + timedelta(seconds=self._durations.refresh)
        self._estate.put_vault(replace(vault, refresh_at=ends_at))
        return self._answers.accepted_of_old(call, self._fabric(vault, call), operation)

    async def _refresh_result(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        operation = find_operation(self._core, call.params["operation"])
        if operation.status(call.now) != "InProgress":
            return Answer(HTTPStatus.NO_CONTENT)
        answer = self._answers.accepted_of_old(call, self._fabric(vault, call), operation)
        headers = {k: v for k, v in answer.headers.items() if k != "Azure-AsyncOperation"}
        return replace(answer, headers=headers)

    def _fabric(self, vault: Vault, call: Call) -> str:
        return f"{vault.id}/backupFabrics/{call.params['fabric']}"

    async def _containers(self, call: Call) -> Answer:
        return self._listed_containers(call, deleted=False)

    async def _deleted_containers(self, call: Call) -> Answer:
        return self._listed_containers(call, deleted=True)

    def _listed_containers(self, call: Call, *, deleted: bool) -> Answer:
        vault = self._estate.vault(call)
        wanted = read_filter(call.query, _OF_CONTAINERS)
        items = self._estate.items_of(vault)
        bodies = [
            container_body(vault, item)
            for item in items
            if item.is_deleted is deleted and agrees(wanted, _container_values(item))
        ]
        return listed(call, bodies)

    async def _container(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        name = call.params["container"].casefold()
        for item in self._estate.items_of(vault):
            if item.machine.container_name.casefold() == name:
                return Answer(HTTPStatus.OK, container_body(vault, item))
        raise not_found(f"The container '{call.params['container']}'")

    # --- items --------------------------------------------------------------------------------

    async def _list(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        wanted = read_filter(call.query, _OF_ITEMS)
        items = [i for i in self._estate.items_of(vault) if agrees(wanted, _item_values(i))]
        return listed(call, [self._body(vault, item, call) for item in items])

    async def _get(self, call: Call) -> Answer:
        vault, item = self._estate.vault(call), self._estate.item(call)
        expanded = "extendedinfo" in call.query.get("$filter", "").casefold()
        points = self._estate.points_of(item) if expanded else None
        body = item_body(vault, item, self._estate.policy(item), call.now, points)
        return Answer(HTTPStatus.OK, body)

    def _body(self, vault: Vault, item: Item, call: Call) -> JsonObject:
        return item_body(vault, item, self._estate.policy(item), call.now)

    async def _put(self, call: Call) -> Answer:
        """Enables, stops, resumes, moves to another policy, or undeletes: the body decides."""
        vault = self._estate.vault(call)
        change = self._protecting.plan(vault, call.params["item"], call.body, call.now)
        job = protection.new_change(change.item, change.operation, call.now, change.seconds)
        detail = {"jobId": job.id, "result": "item"}
        operation = self._core.operations.begin(call, change.seconds, detail=detail)
        if call.fate != "failed":
            self._apply(vault, change)
            self._estate.put_job(job)
        return self._answers.accepted(call, item_base(vault, call), operation)

    def _apply(self, vault: Vault, change: Change) -> None:
        self._estate.put_item(change.item)
        if not vault.was_used:
            self._estate.put_vault(replace(vault, was_used=True))

    async def _delete(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        item = self._estate.find_item(vault, call.params["item"])
        if item is None:
            return Answer(HTTPStatus.NO_CONTENT)
        if item.is_deleted:
            raise item_is_deleted()
        self._protecting.require_idle(item)
        soft = vault.soft_delete.is_on
        seconds = self._durations.delete_softly if soft else self._durations.delete
        job = protection.new_change(item, Operation.DELETE, call.now, seconds)
        operation = self._core.operations.begin(call, seconds, detail={"jobId": job.id})
        if call.fate != "failed":
            self._estate.put_job(job)
        return self._answers.accepted_deletion(call, vault.id, operation)

    async def _status(self, call: Call) -> Answer:
        self._estate.vault(call)
        operation = find_operation(self._core, call.params["operation"])
        return Answer(HTTPStatus.OK, status_body(operation, call.now))

    async def _result(self, call: Call) -> Answer:
        """202 until it has ended; then the item after a change of it, nothing after a job."""
        vault = self._estate.vault(call)
        operation = find_operation(self._core, call.params["operation"])
        accepted = self._answers.accepted(call, item_base(vault, call), operation)
        if operation.status(call.now) == "InProgress":
            return accepted
        if (operation.detail or {}).get("result") != "item":
            # Even now there is a status URL to follow, and a time to wait (recorded).
            headers = {
                name: value for name, value in accepted.headers.items() if name != "Location"
            }
            return Answer(HTTPStatus.NO_CONTENT, None, headers)
        return Answer(HTTPStatus.OK, self._body(vault, self._estate.item(call), call))

    async def _backup_status(self, call: Call) -> Answer:
        return Answer(HTTPStatus.OK, self._protecting.status_of(call.body))


def _container_values(item: Item) -> dict[str, str | None]:
    return {
        "backupManagementType": MANAGEMENT_TYPE,
        "friendlyName": item.machine.name,
        "status": registration(item),
    }


def _item_values(item: Item) -> dict[str, str | None]:
    return {
        "backupManagementType": MANAGEMENT_TYPE,
        "itemType": "VM",
        "policyName": item.policy,
        "friendlyName": item.machine.name,
    }
