"""Typed records over the store: read once, written through."""

from collections.abc import Iterator
from typing import Generic, TypeVar

from pydantic import TypeAdapter

from local.arm.store import Store

T = TypeVar("T")


class Records(Generic[T]):
    """All records of one kind, by ARM id without regard to case, in the order they were made."""

    def __init__(self, store: Store, kind: str, record: type[T]) -> None:
        self._store = store
        self._kind = kind
        self._adapter = TypeAdapter(record)
        self._known = {key: self._adapter.validate_python(each) for key, each in store.scan(kind)}

    def get(self, key: str) -> T | None:
        return self._known.get(key.casefold())

    def put(self, key: str, record: T) -> T:
        self._known[key.casefold()] = record
        self._store.put(self._kind, key, self._adapter.dump_python(record, mode="json"))
        return record

    def delete(self, key: str) -> None:
        if self._known.pop(key.casefold(), None) is not None:
            self._store.delete(self._kind, key)

    def under(self, scope: str) -> Iterator[T]:
        """Those whose id lies under another; safe while records come and go."""
        prefix = scope.casefold() + "/"
        yield from [each for key, each in self._known.items() if key.startswith(prefix)]

    def every(self) -> Iterator[T]:
        yield from list(self._known.values())
