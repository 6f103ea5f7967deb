"""Resource groups: where everything else is."""

from collections.abc import Iterator
from http import HTTPStatus

from local.arm.answers import Answer, ArmError, JsonObject, group_not_found
from local.arm.routing import Call
from local.arm.store import Store

KIND = "groups"


def group_id(subscription: str, group: str) -> str:
    return f"/subscriptions/{subscription}/resourceGroups/{group}"


class Groups:
    """The groups in the store."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def find(self, subscription: str, group: str) -> JsonObject | None:
        return self._store.get(KIND, group_id(subscription, group))

    def require(self, subscription: str, group: str) -> JsonObject:
        """The group. Raises 404 ResourceGroupNotFound."""
        found = self.find(subscription, group)
        if found is None:
            raise group_not_found(group)
        return found

    def ensure(self, subscription: str, group: str, location: str) -> JsonObject:
        """The group, made where it is not there: for providers that make groups of their own."""
        return self.find(subscription, group) or self._write(subscription, group, location, {})

    def every(self, subscription: str) -> Iterator[JsonObject]:
        for _, group in self._store.scan(KIND, group_id(subscription, "")):
            yield group

    def forget(self, subscription: str, group: str) -> None:
        self._store.delete(KIND, group_id(subscription, group))

    def put(self, call: Call) -> Answer:
        """Creates or updates; a group never moves."""
        known = self.find(call.subscription, call.group)
        location = call.body.get("location")
        if not location:
            raise ArmError(400, "LocationRequired", "The location property is required.")
        if known and known["location"] != location:
            raise _moved(known, location)
        name = known["name"] if known else call.group
        group = self._write(call.subscription, name, location, call.body.get("tags") or {})
        return Answer(HTTPStatus.OK if known else HTTPStatus.CREATED, group)

    def _write(
        self, subscription: str, group: str, location: str, tags: JsonObject
    ) -> dict[str, object]:
        document: dict[str, object] = {
            "id": group_id(subscription, group),
            "name": group,
            "type": "Microsoft.Resources/resourceGroups",
            "location": location,
            **({"tags": tags} if tags else {}),
            "properties": {"provisioningState": "Succeeded"},
        }
        self._store.put(KIND, group_id(subscription, group), document)
        return document


def _moved(known: JsonObject, location: str) -> ArmError:
    return ArmError(
        409,
        "InvalidResourceGroupLocation",
        f"Invalid resource group location '{location}'. The Resource group already exists in "
        f"location '{known['location']}'.",
    )
