"""The state: JSON documents by kind and key, kept in a journal that survives any end."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from local.arm.answers import JsonObject


class Store:
    """Documents by `(kind, key)`; keys are compared without regard to case, as ARM's names are.

    Every change is one appended line; a torn last line is the change that never happened. Opening
    compacts the journal. Without a folder the state is in memory only.
    """

    def __init__(self, data_dir: Path | None = None) -> None:
        self._documents: dict[str, dict[str, dict[str, Any]]] = {}
        self._journal: IO[str] | None = None
        if data_dir is not None:
            self._open(data_dir / "state.jsonl")

    def get(self, kind: str, key: str) -> JsonObject | None:
        return self._documents.get(kind, {}).get(key.casefold())

    def put(self, kind: str, key: str, document: JsonObject) -> None:
        """Replaces a whole document. What was handed in or out is never changed in place."""
        self._apply(kind, key.casefold(), dict(document))
        self._log([kind, key.casefold(), document])

    def delete(self, kind: str, key: str) -> None:
        """Deleting what is not there is no error."""
        if self.get(kind, key) is not None:
            self._apply(kind, key.casefold(), None)
            self._log([kind, key.casefold(), None])

    def scan(self, kind: str, prefix: str = "") -> Iterator[tuple[str, JsonObject]]:
        """Documents of a kind, in the order they were first put; keys as stored, in lower case."""
        start = prefix.casefold()
        documents = self._documents.get(kind, {})
        yield from [(key, each) for key, each in documents.items() if key.startswith(start)]

    def close(self) -> None:
        if self._journal is not None:
            self._journal.close()
            self._journal = None

    def _apply(self, kind: str, key: str, document: dict[str, Any] | None) -> None:
        documents = self._documents.setdefault(kind, {})
        if document is None:
            documents.pop(key, None)
        else:
            documents[key] = document

    def _log(self, line: list[Any]) -> None:
        if self._journal is not None:
            self._journal.write(json.dumps(line, separators=(",", ":")) + "\n")
            self._journal.flush()

    def _open(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists():
            self._replay(path)
        compact = path.with_suffix(".new")
        self._journal = compact.open("w")
        for kind, documents in self._documents.items():
            for key, document in documents.items():
                self._log([kind, key, document])
        compact.replace(path)

    def _replay(self, path: Path) -> None:
        with path.open() as lines:
            for line in lines:
                if not line.endswith("\n"):
                    return
                self._apply(*json.loads(line))
