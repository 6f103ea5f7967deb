"""Access keys: made once, kept in the data directory, compared in constant time."""

import json
import secrets
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path


@dataclass(frozen=True)
class Keys:
    """The master key, the host key for all functions, the durable key, a key a function."""

    master: str
    host: str
    durable: str
    functions: dict[str, str] = field(default_factory=dict)

    def opens_function(self, name: str, key: str | None) -> bool:
        """Level ``function``: the function's own key, the host key or the master key."""
        return _is_one_of(key, (self.functions.get(name, ""), self.host, self.master))

    def opens_admin(self, key: str | None) -> bool:
        """Level ``admin``: the master key."""
        return _is_one_of(key, (self.master,))

    def opens_durable(self, key: str | None) -> bool:
        """The durable webhooks: their own key or the master key."""
        return _is_one_of(key, (self.durable, self.master))


def load_keys(path: Path, functions: Iterable[str]) -> Keys:
    """Read the keys at ``path``; make those that are missing and store them (mode 600)."""
    stored = json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}
    keys = Keys(
        master=stored.get("master") or _new_key(),
        host=stored.get("host") or _new_key(),
        durable=stored.get("durable") or _new_key(),
        functions={name: stored.get("functions", {}).get(name) or _new_key() for name in functions},
    )
    document = {
        "master": keys.master,
        "host": keys.host,
        "durable": keys.durable,
        "functions": stored.get("functions", {}) | keys.functions,
    }
    draft = path.with_suffix(".new")
    draft.touch(mode=0o600)
    draft.write_text(json.dumps(document, indent=2) + "\n", encoding="utf-8")
    draft.replace(path)
    return keys


def _new_key() -> str:
    return secrets.token_urlsafe(40)


def _is_one_of(key: str | None, accepted: tuple[str, ...]) -> bool:
    given = (key or "").encode()
    return any(bool(one) and secrets.compare_digest(given, one.encode()) for one in accepted)
