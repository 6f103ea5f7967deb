"""Microsoft.Resources: the routes of subscriptions and resource groups."""

from collections.abc import Sequence
from datetime import datetime
from http import HTTPStatus

from local.arm.answers import Answer
from local.arm.core import Core, Provider
from local.arm.groups import group_id
from local.arm.operations import async_url, operation_not_found
from local.arm.routing import GROUP_SCOPE, Call, Route

_SUBSCRIPTION = "/subscriptions/{subscription}"
_RESULTS = _SUBSCRIPTION + "/operationresults/{operation}"
_DELETE_SECONDS = 20.0


class Resources:
    """Groups; deleting one deletes what every provider has in it."""

    def __init__(self, core: Core, providers: Sequence[Provider]) -> None:
        self._core = core
        self._providers = providers

    def routes(self) -> Sequence[Route]:
        every = _SUBSCRIPTION + "/resourceGroups"
        return [
            Route("GET", _SUBSCRIPTION, "Subscriptions_Get", self._subscription),
            Route("GET", every, "ResourceGroups_List", self._list),
            Route(
                "PUT", GROUP_SCOPE, "ResourceGroups_CreateOrUpdate", self._put, checks_group=False
            ),
            Route(
                "HEAD",
                GROUP_SCOPE,
                "ResourceGroups_CheckExistence",
                self._exists,
                checks_group=False,
            ),
            Route("GET", GROUP_SCOPE, "ResourceGroups_Get", self._get),
            Route("DELETE", GROUP_SCOPE, "ResourceGroups_Delete", self._delete),
            Route("GET", _RESULTS, "ResourceGroups_DeleteResult", self._result),
            *self._core.locks.routes(),
        ]

    def controls(self) -> Sequence[Route]:
        return ()

    async def settle(self, now: datetime) -> None:
        """Nothing falls due here."""

    async def drop_group(self, subscription: str, group: str) -> None:
        """The group itself."""
        self._core.groups.forget(subscription, group)
        self._core.locks.drop(group_id(subscription, group))

    async def close(self) -> None:
        """Nothing is open."""

    async def _subscription(self, call: Call) -> Answer:
        body = {
            "id": call.path,
            "subscriptionId": call.subscription,
            "displayName": "Local",
            "state": "Enabled",
        }
        return Answer(200, body)

    async def _list(self, call: Call) -> Answer:
        return Answer(200, {"value": list(self._core.groups.every(call.subscription))})

    async def _put(self, call: Call) -> Answer:
        return self._core.groups.put(call)

    async def _exists(self, call: Call) -> Answer:
        found = self._core.groups.find(call.subscription, call.group)
        return Answer(HTTPStatus.NO_CONTENT if found else HTTPStatus.NOT_FOUND)

    async def _get(self, call: Call) -> Answer:
        return Answer(200, self._core.groups.require(call.subscription, call.group))

    async def _delete(self, call: Call) -> Answer:
        for provider in (*self._providers, self):
            await provider.drop_group(call.subscription, call.group)
        operation = self._core.operations.begin(call, _DELETE_SECONDS)
        path = f"/subscriptions/{call.subscription}/operationresults/{operation.id}"
        return Answer(HTTPStatus.ACCEPTED, None, {"Location": async_url(call, path)})

    async def _result(self, call: Call) -> Answer:
        operation = self._core.operations.find(call.params["operation"])
        if operation is None:
            raise operation_not_found(call.params["operation"])
        if operation.status(call.now) == "InProgress":
            return Answer(HTTPStatus.ACCEPTED, None, {"Location": async_url(call, call.path)})
        return Answer(HTTPStatus.OK)
