"""Replaying recorded exchanges against the fake ARM, and saying how the answers differ.

What is compared: the status, which headers there are, the keys and types of the body at every
depth, and the values of the fields whose value is the service's promise (`PROMISED`).
PYTEST_DONT_REWRITE.
"""

import asyncio
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from aiohttp import ClientSession

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
HEADERS = ("Azure-AsyncOperation", "Location", "Content-Type")
PROMISED = frozenset(
    {
        "caching",
        "code",
        "consistencyMode",
        "createOption",
        "diskIOPSReadWrite",
        "diskMBpsReadWrite",
        "diskSizeBytes",
        "diskSizeGB",
        "diskState",
        "displayStatus",
        "incremental",
        "level",
        "location",
        "lun",
        "name",
        "osType",
        "provisioningState",
        "status",
        "storageAccountType",
        "tier",
        "type",
        "vmSize",
    }
)


@dataclass(frozen=True)
class Exchange:
    """One line of a recording."""

    seq: Any
    method: str
    path: str
    query: str
    body: Any
    status: int
    headers: Mapping[str, str]
    answer: Any

    @property
    def title(self) -> str:
        return f"{self.seq} {self.method} {self.path.rpartition('/providers/')[2] or self.path}"


def load(name: str) -> list[Exchange]:
    """A recording's exchanges in order."""
    with (RECORDINGS / f"{name}.jsonl").open() as lines:
        return [_exchange(json.loads(line)) for line in lines]


def _exchange(line: Mapping[str, Any]) -> Exchange:
    return Exchange(
        seq=line["seq"],
        method=line["method"],
        path=line["path"],
        query=line["query"] or "",
        body=line["request_body"],
        status=line["status"],
        headers=line["response_headers"],
        answer=line["response_body"],
    )


@dataclass(frozen=True)
class Got:
    """What the fake answered."""

    status: int
    headers: Mapping[str, str]
    body: Any


class Replay:
    """Sends recorded requests; the URLs of operations are those that the fake gave out."""

    def __init__(self, origin: str, http: ClientSession, token: str) -> None:
        self._origin = origin
        self._http = http
        self._headers = {"Authorization": f"Bearer {token}"}
        self._ours: dict[tuple[str, bool], str] = {}
        self._ids: dict[str, str] = {}

    async def send(self, exchange: Exchange) -> Got:
        """The fake's answer; for a recorded end of an operation, once ours has ended, too."""
        for _ in range(200):
            got = await self.request(exchange.method, self._url(exchange), self._body(exchange))
            if not _waits(exchange, got):
                break
            await asyncio.sleep(0.05)
        for name in HEADERS[:2]:
            if name in exchange.headers and name in got.headers:
                self._ours[_operation(exchange.headers[name])] = got.headers[name]
        self._ids.update(_paired_ids(exchange.answer, got.body))
        return got

    def _body(self, exchange: Exchange) -> Any:
        """The recorded body with the ids that the fake made up in place of Azure's."""
        text = json.dumps(exchange.body)
        for recorded, ours in self._ids.items():
            text = text.replace(recorded, ours)
        return json.loads(text)

    async def request(self, method: str, url: str, body: Any = None) -> Got:
        full = url if url.startswith("http") else self._origin + url
        call = self._http.request(method, full, json=body, headers=self._headers)
        async with call as answer:
            content = await answer.read()
            parsed = json.loads(content) if content else None
            return Got(answer.status, answer.headers, parsed)

    def _url(self, exchange: Exchange) -> str:
        recorded = f"{exchange.path}?{exchange.query}" if exchange.query else exchange.path
        return self._ours.get(_operation(recorded), recorded)


def _paired_ids(recorded: Any, ours: Any) -> Iterator[tuple[str, str]]:
    """The ids at the same places of both bodies, where they differ."""
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in recorded.keys() & ours.keys():
            if key == "id" and recorded[key] != ours[key]:
                yield recorded[key], ours[key]
            yield from _paired_ids(recorded[key], ours[key])
    elif isinstance(recorded, list) and isinstance(ours, list):
        for one, other in zip(recorded, ours, strict=False):
            yield from _paired_ids(one, other)


def _operation(url: str) -> tuple[str, bool]:
    """What tells an operation's URL from another's: its id and its form."""
    parts = urlsplit(url)
    return parts.path.rpartition("/")[2], "monitor" in parse_qs(parts.query)


def _waits(exchange: Exchange, got: Got) -> bool:
    """Whether ours still runs where the recorded operation had ended."""
    recorded, ours = (_status(each) for each in (exchange.answer, got.body))
    return ours == "InProgress" and recorded not in (None, "InProgress")


def _status(body: Any) -> Any:
    return body.get("status") if isinstance(body, dict) else None


def differences(exchange: Exchange, got: Got) -> list[str]:
    """How the answers differ, one line each: `body.properties.tier: missing`."""
    found = []
    if got.status != exchange.status:
        found.append(f"status: {exchange.status} became {got.status}")
    for name in HEADERS:
        if (name in exchange.headers) != (name in got.headers):
            says = "missing" if name in exchange.headers else "added"
            found.append(f"header {name}: {says}")
    if not _ended_sooner(exchange, got):
        found.extend(_compared(exchange.answer, got.body, "body"))
    return found


def _ended_sooner(exchange: Exchange, got: Got) -> bool:
    return _status(exchange.answer) == "InProgress" and _status(got.body) == "Succeeded"


def _compared(recorded: Any, ours: Any, where: str) -> Iterator[str]:
    if isinstance(recorded, dict) and isinstance(ours, dict):
        for key in recorded.keys() | ours.keys():
            yield from _field(recorded, ours, key, f"{where}.{key}")
    elif isinstance(recorded, list) and isinstance(ours, list):
        if len(recorded) != len(ours):
            yield f"{where}: {len(recorded)} became {len(ours)}"
        for one, other in zip(recorded, ours, strict=False):
            yield from _compared(one, other, f"{where}[]")
    elif kind_of(recorded) != kind_of(ours):
        yield f"{where}: {kind_of(recorded)} became {kind_of(ours)}"


def _field(
    recorded: Mapping[str, Any], ours: Mapping[str, Any], key: str, where: str
) -> Iterator[str]:
    if key not in ours:
        yield f"{where}: missing"
    elif key not in recorded:
        yield f"{where}: added"
    elif key in PROMISED and not _same(recorded[key], ours[key]) and not _an_id(recorded[key]):
        yield f"{where}: {recorded[key]} became {ours[key]}"
    else:
        yield from _compared(recorded[key], ours[key], where)


def _same(recorded: Any, ours: Any) -> bool:
    return str(recorded).casefold() == str(ours).casefold()


def _an_id(value: Any) -> bool:
    """A name that the service makes up: the end of it is a guid."""
    text = str(value)
    return len(text) >= 36 and text[-36:].count("-") == 4


def kind_of(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return type(value).__name__
    return "number" if isinstance(value, int | float) else type(value).__name__
