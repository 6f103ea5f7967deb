"""Backup policies."""

from collections.abc import Sequence
from http import HTTPStatus

from local.arm.answers import Answer, JsonObject
from local.arm.recovery.estate import Estate
from local.arm.recovery.filters import agrees, read_filter
from local.arm.recovery.policies import MOST_POLICIES, Policy, read_policy
from local.arm.recovery.protection import under_policy
from local.arm.recovery.refusals import invalid_policy, not_found, policy_in_use
from local.arm.recovery.vault import Vault
from local.arm.recovery.vault_bodies import policy_body
from local.arm.recovery.vault_routes import VAULT
from local.arm.routing import Call, Route

_EVERY = VAULT + "/backupPolicies"
_ONE = _EVERY + "/{policy}"
_FILTERS = frozenset({"backupManagementType", "workloadType"})


class PolicyRoutes:
    """Synchronous, all of them (recorded)."""

    def __init__(self, estate: Estate) -> None:
        self._estate = estate

    def routes(self) -> Sequence[Route]:
        return [
            Route("GET", _EVERY, "BackupPolicies_List", self._list),
            Route("GET", _ONE, "ProtectionPolicies_Get", self._get),
            Route("PUT", _ONE, "ProtectionPolicies_CreateOrUpdate", self._put),
            Route("DELETE", _ONE, "ProtectionPolicies_Delete", self._delete),
        ]

    async def _list(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        wanted = read_filter(call.query, _FILTERS)
        policies = [
            policy_body(vault, policy, 0)
            for policy in self._estate.policies_of(vault)
            if agrees(wanted, {"backupManagementType": policy.properties["backupManagementType"]})
        ]
        return Answer(HTTPStatus.OK, {"value": policies})

    async def _get(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        policy = self._find(vault, call)
        if policy is None:
            raise not_found(f"The policy '{call.params['policy']}'")
        return Answer(HTTPStatus.OK, self._body(vault, policy))

    async def _put(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        known = self._find(vault, call)
        if known is None and len(list(self._estate.policies_of(vault))) >= MOST_POLICIES:
            raise invalid_policy(f"a vault has at most {MOST_POLICIES} policies")
        name = known.name if known else call.params["policy"]
        policy = self._estate.put_policy(vault, read_policy(name, call.body, known))
        for item in self._estate.items_under(vault, policy.name):
            self._estate.put_item(under_policy(item, policy, call.now))
        return Answer(HTTPStatus.OK, self._body(vault, policy))

    async def _delete(self, call: Call) -> Answer:
        vault = self._estate.vault(call)
        policy = self._find(vault, call)
        if policy is None:
            return Answer(HTTPStatus.NO_CONTENT)
        if items := self._estate.items_under(vault, policy.name):
            raise policy_in_use(policy.name, len(items))
        self._estate.policies.delete(vault.ref.policy_id(policy.name))
        return Answer(HTTPStatus.OK)

    def _find(self, vault: Vault, call: Call) -> Policy | None:
        return self._estate.policy_with_id(vault.ref.policy_id(call.params["policy"]))

    def _body(self, vault: Vault, policy: Policy) -> JsonObject:
        return policy_body(vault, policy, len(self._estate.items_under(vault, policy.name)))
