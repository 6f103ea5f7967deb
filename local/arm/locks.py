"""Management locks: `CanNotDelete` and `ReadOnly` on a resource group or a resource."""

from collections.abc import Sequence
from http import HTTPStatus

from local.arm.answers import Answer, ArmError, JsonObject, invalid_parameter, scope_locked
from local.arm.routing import GROUP_SCOPE, Call, Route
from local.arm.store import Store

KIND = "locks"
LEVELS = ("CanNotDelete", "ReadOnly")
_PROVIDER = "/providers/Microsoft.Authorization/locks"
_SCOPES = (
    "/subscriptions/{subscription}",
    GROUP_SCOPE,
    GROUP_SCOPE + "/providers/{namespace}/{type}/{resource}",
)


class Locks:
    """The locks in the store, under their own ids."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def routes(self) -> Sequence[Route]:
        return [route for scope in _SCOPES for route in self._routes_at(scope)]

    def check(self, method: str, path: str) -> None:
        """Raises 409 ScopeLocked where a lock on the path or above it forbids the request.

        A POST changes nothing that `CanNotDelete` protects; `ReadOnly` forbids it, too.
        """
        if method in ("GET", "HEAD") or _PROVIDER.casefold() in path.casefold():
            return
        deletes = method == "DELETE"
        locked = self.scopes_over(path, LEVELS if deletes else ("ReadOnly",))
        if deletes:
            # What is in a scope goes with it.
            locked += [each for each in self._scopes_under(path) if each not in locked]
        if locked:
            raise scope_locked(path, "delete" if deletes else "write", locked)

    def scopes_over(self, path: str, levels: Sequence[str] = LEVELS) -> list[str]:
        """The locked scopes that hold the path, each as its lock spells it."""
        inside = path.casefold() + "/"
        return [
            scope
            for scope, level in self._every()
            if level in levels and inside.startswith(scope.casefold() + "/")
        ]

    def _scopes_under(self, path: str) -> list[str]:
        above = path.casefold() + "/"
        return [scope for scope, _ in self._every() if (scope.casefold() + "/").startswith(above)]

    def _every(self) -> list[tuple[str, str]]:
        """The scope and the level of every lock."""
        return [
            (lock["id"].rpartition(_PROVIDER)[0], lock["properties"]["level"])
            for _, lock in self._store.scan(KIND)
        ]

    def drop(self, scope: str) -> None:
        """Forgets the locks of a scope that is gone."""
        for key, _ in list(self._store.scan(KIND, scope + "/")):
            self._store.delete(KIND, key)

    def _routes_at(self, scope: str) -> list[Route]:
        one, every = scope + _PROVIDER + "/{lock}", scope + _PROVIDER
        return [
            Route("PUT", one, "ManagementLocks_CreateOrUpdate", self._put),
            Route("GET", one, "ManagementLocks_Get", self._get),
            Route("DELETE", one, "ManagementLocks_Delete", self._delete),
            Route("GET", every, "ManagementLocks_List", self._list),
        ]

    async def _put(self, call: Call) -> Answer:
        given: JsonObject = call.body.get("properties", {})
        if given.get("level") not in LEVELS:
            raise invalid_parameter("level", f"The lock level must be one of {', '.join(LEVELS)}.")
        known = self._store.get(KIND, call.path)
        lock = {
            "properties": {key: given[key] for key in ("level", "notes") if key in given},
            "id": call.path,
            "type": "Microsoft.Authorization/locks",
            "name": call.params["lock"],
        }
        self._store.put(KIND, call.path, lock)
        return Answer(HTTPStatus.OK if known else HTTPStatus.CREATED, lock)

    async def _get(self, call: Call) -> Answer:
        lock = self._store.get(KIND, call.path)
        if lock is None:
            raise ArmError(404, "LockNotFound", f"The lock '{call.params['lock']}' was not found.")
        return Answer(200, lock)

    async def _delete(self, call: Call) -> Answer:
        known = self._store.get(KIND, call.path)
        self._store.delete(KIND, call.path)
        return Answer(HTTPStatus.OK if known else HTTPStatus.NO_CONTENT)

    async def _list(self, call: Call) -> Answer:
        scope = call.path[: -len(_PROVIDER)]
        return Answer(200, {"value": [lock for _, lock in self._store.scan(KIND, scope + "/")]})
