"""Resources on a shelf: what a provider keeps of each, under its ARM id."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, Self

from local.arm.answers import JsonObject
from local.arm.store import Store


@dataclass(frozen=True)
class Resource:
    """A resource: its wire body once it has settled, and what only the provider knows of it.

    Until `settles_at` it is being made or changed; where `failed`, that ended badly.
    """

    id: str
    body: JsonObject
    settles_at: datetime
    failed: bool = False
    inner: Mapping[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        return self.id.rpartition("/")[2]

    @property
    def properties(self) -> JsonObject:
        properties: JsonObject = self.body["properties"]
        return properties

    def state(self, now: datetime, working: str) -> str:
        """The provisioningState; `working` is what it is called until it settles."""
        if now < self.settles_at:
            return working
        return "Failed" if self.failed else "Succeeded"

    def with_properties(self, **properties: Any) -> Self:
        """The same with some properties set; None removes one."""
        merged = {**self.properties, **properties}
        kept = {name: value for name, value in merged.items() if value is not None}
        return replace(self, body={**self.body, "properties": kept})

    def knowing(self, **inner: Any) -> Self:
        """The same with more known of it."""
        return replace(self, inner={**self.inner, **inner})


class Shelf:
    """The resources of one kind."""

    def __init__(self, store: Store, kind: str) -> None:
        self._store = store
        self._kind = kind

    def get(self, resource_id: str) -> Resource | None:
        found = self._store.get(self._kind, resource_id)
        return _resource(found) if found else None

    def put(self, resource: Resource) -> None:
        settles_at = resource.settles_at.isoformat()
        self._store.put(self._kind, resource.id, {**vars(resource), "settles_at": settles_at})

    def delete(self, resource_id: str) -> None:
        self._store.delete(self._kind, resource_id)

    def under(self, scope: str) -> Iterator[Resource]:
        """What is inside a scope, in the order it was made."""
        for _, document in self._store.scan(self._kind, scope + "/"):
            yield _resource(document)

    def every(self) -> Iterator[Resource]:
        for _, document in self._store.scan(self._kind):
            yield _resource(document)


def _resource(document: JsonObject) -> Resource:
    return Resource(**{**document, "settles_at": datetime.fromisoformat(document["settles_at"])})
