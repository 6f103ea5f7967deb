"""Vaults and their settings."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from local.arm.answers import Answer, JsonObject
from local.arm.core import Core
from local.arm.paging import listed
from local.arm.recovery.async_answers import (
    AsyncAnswers,
    find_operation,
    id_in_name,
    vault_operation_name,
)
from local.arm.recovery.built_in_policies import built_in_policies
from local.arm.recovery.estate import Estate
from local.arm.recovery.names import VaultRef
from local.arm.recovery.refusals import vault_has_items, vault_has_soft_deleted
from local.arm.recovery.timing import Durations
from local.arm.recovery.vault import (
    Vault,
    changed_vault,
    new_vault,
    with_soft_delete,
    with_storage_type,
)
from local.arm.recovery.vault_bodies import config_body, encryption_body, storage_body, vault_body
from local.arm.recovery.worker import Worker
from local.arm.routing import GROUP_SCOPE, Call, Route

_ALL = "/providers/Microsoft.RecoveryServices/vaults"
VAULT = GROUP_SCOPE + _ALL + "/{vault}"
_CONFIG = VAULT + "/backupconfig/vaultconfig"
_STORAGE = VAULT + "/backupstorageconfig/vaultstorageconfig"
_ENCRYPTION = VAULT + "/backupEncryptionConfigs/backupResourceEncryptionConfig"

_DELETES, _CREATES, _UPDATES = 1023, 2047, 4095
"""What a vault operation's name begins with, by what it does (recorded)."""


class VaultRoutes:
    """Microsoft.RecoveryServices/vaults, and the one-of-a-kind settings below it."""

    def __init__(self, core: Core, estate: Estate, worker: Worker, durations: Durations) -> None:
        self._core = core
        self._estate = estate
        self._worker = worker
        self._durations = durations
        self._answers = AsyncAnswers(core)

    def routes(self) -> Sequence[Route]:
        status, result = VAULT + "/operationStatus/{name}", VAULT + "/operationResults/{name}"
        everywhere = "/subscriptions/{subscription}" + _ALL
        return [
            Route("GET", VAULT, "Vaults_Get", self._get),
            Route("PUT", VAULT, "Vaults_CreateOrUpdate", self._put),
            Route("PATCH", VAULT, "Vaults_Update", self._patch),
            Route("DELETE", VAULT, "Vaults_Delete", self._delete),
            Route("GET", GROUP_SCOPE + _ALL, "Vaults_ListByResourceGroup", self._list),
            Route("GET", everywhere, "Vaults_ListBySubscriptionId", self._list_all),
            Route("GET", status, "GetOperationStatus", self._status),
            Route("GET", result, "GetOperationResult", self._result),
            Route("GET", _CONFIG, "BackupResourceVaultConfigs_Get", self._config),
            Route("PATCH", _CONFIG, "BackupResourceVaultConfigs_Update", self._set_config),
            Route("PUT", _CONFIG, "BackupResourceVaultConfigs_Put", self._set_config),
            Route("GET", _STORAGE, "BackupResourceStorageConfigsNonCRR_Get", self._storage),
            Route("PUT", _STORAGE, "BackupResourceStorageConfigsNonCRR_Update", self._put_storage),
            Route(
                "PATCH", _STORAGE, "BackupResourceStorageConfigsNonCRR_Patch", self._patch_storage
            ),
            Route("GET", _ENCRYPTION, "BackupResourceEncryptionConfigs_Get", self._encryption),
            Route(
                "GET",
                VAULT + "/backupResourceGuardProxies",
                "ResourceGuardProxies_Get",
                self._no_guards,
            ),
        ]

    # --- vaults -------------------------------------------------------------------------------

    async def _get(self, call: Call) -> Answer:
        return Answer(HTTPStatus.OK, vault_body(self._estate.vault(call), call.now))

    async def _list(self, call: Call) -> Answer:
        return self._listed(call, f"/subscriptions/{call.subscription}/resourceGroups/{call.group}")

    async def _list_all(self, call: Call) -> Answer:
        return self._listed(call, f"/subscriptions/{call.subscription}")

    def _listed(self, call: Call, scope: str) -> Answer:
        vaults = self._estate.vaults.under(scope)
        return listed(call, [vault_body(each, call.now, in_list=True) for each in vaults])

    async def _put(self, call: Call) -> Answer:
        ref = VaultRef(call.subscription, call.group, call.params["vault"])
        known = self._estate.vaults.get(ref.id)
        if known is not None:
            changed = self._changed(call, known)
            return Answer(HTTPStatus.OK, vault_body(changed, call.now))
        settles_at = call.now + timedelta(seconds=self._durations.create_vault)
        vault = new_vault(ref, call.body, call.now, settles_at)
        vault = vault.discovered(self._worker.machines_for(vault))
        self._estate.put_vault(vault)
        for policy in built_in_policies(call.now):
            self._estate.put_policy(vault, policy)
        headers = self._begin(call, vault, _CREATES, self._durations.create_vault)
        # A creation is followed by its status alone (recorded).
        del headers["Location"], headers["Retry-After"]
        return Answer(HTTPStatus.CREATED, vault_body(vault, call.now), headers)

    async def _patch(self, call: Call) -> Answer:
        vault = self._changed(call, self._estate.vault(call))
        headers = self._begin(call, vault, _UPDATES, self._durations.update_vault)
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    def _changed(self, call: Call, vault: Vault) -> Vault:
        has_items = bool(self._estate.items_of(vault))
        changed = changed_vault(vault, call.body, call.now, has_items=has_items)
        return self._estate.put_vault(changed)

    async def _delete(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        items = self._estate.items_of(vault)
        names = [item.machine.name for item in items]
        if any(not item.is_deleted for item in items):
            raise vault_has_items(names)
        if items:
            raise vault_has_soft_deleted(names)
        gone_at = call.now + timedelta(seconds=self._durations.delete_vault)
        self._estate.put_vault(replace(vault, gone_at=gone_at))
        headers = self._begin(call, vault, _DELETES, self._durations.delete_vault)
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    # --- their operations ---------------------------------------------------------------------

    def _begin(self, call: Call, vault: Vault, kind: int, seconds: float) -> dict[str, str]:
        operation = self._core.operations.begin(call, seconds)
        name = vault_operation_name(kind, operation)
        return self._answers.vault_headers(call, vault.id, name)

    async def _status(self, call: Call) -> Answer:
        """Of a deleted vault, too: 404 by then, as for all below it."""
        vault = self._estate.vault(call)
        name = call.params["name"]
        operation = find_operation(self._core, id_in_name(name))
        status = operation.status(call.now)
        body: JsonObject = {
            "id": f"{vault.id}/operationStatus/{name}",
            "name": name,
            "status": status,
            **({"error": operation.error} if status == "Failed" else {}),
        }
        running = status == "InProgress"
        headers = self._answers.vault_headers(call, vault.id, name) if running else {}
        return Answer(HTTPStatus.OK, body, headers)

    async def _result(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        name = call.params["name"]
        operation = find_operation(self._core, id_in_name(name))
        if operation.status(call.now) == "InProgress":
            headers = self._answers.vault_headers(call, vault.id, name)
            return Answer(HTTPStatus.ACCEPTED, None, headers)
        return Answer(HTTPStatus.OK, vault_body(vault, call.now))

    # --- settings -----------------------------------------------------------------------------

    async def _config(self, call: Call) -> Answer:
        return Answer(HTTPStatus.OK, config_body(self._estate.vault(call)))

    async def _set_config(self, call: Call) -> Answer:
        given: JsonObject = call.body.get("properties") or {}
        vault = with_soft_delete(
            self._estate.vault(call),
            state=given.get("softDeleteFeatureState"),
            days=given.get("softDeleteRetentionPeriodInDays"),
            enhanced_security=given.get("enhancedSecurityState"),
        )
        return Answer(HTTPStatus.OK, config_body(self._estate.put_vault(vault)))

    async def _storage(self, call: Call) -> Answer:
        return Answer(HTTPStatus.OK, self._storage_body(self._estate.vault(call)))

    async def _put_storage(self, call: Call) -> Answer:
        return Answer(HTTPStatus.OK, self._storage_body(self._with_storage(call)))

    async def _patch_storage(self, call: Call) -> Answer:
        self._with_storage(call)
        return Answer(HTTPStatus.NO_CONTENT)

    def _with_storage(self, call: Call) -> Vault:
        vault = self._estate.vault(call)
        has_items = bool(self._estate.items_of(vault))
        given: JsonObject = call.body.get("properties") or {}
        return self._estate.put_vault(with_storage_type(vault, given, has_items=has_items))

    def _storage_body(self, vault: Vault) -> JsonObject:
        return storage_body(vault, has_items=bool(self._estate.items_of(vault)))

    async def _encryption(self, call: Call) -> Answer:
        return Answer(HTTPStatus.OK, encryption_body(self._estate.vault(call)))

    async def _no_guards(self, call: Call) -> Answer:
        self._estate.vault(call)
        return Answer(HTTPStatus.OK, {"value": []})
