"""Recorded exchanges as calls of our client: which call makes a request, what its answer must come
to, and which of the next exchanges belong to it."""

import re
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any
from urllib.parse import unquote

import pytest

from shared.model.errors import Transient, VaultlineError
from tests.contract.recordings.playing import Client, plain
from tests.stack.recovery_recording import Exchange

Meaning = tuple[type[VaultlineError], str]
"""What a refusal is to us: its class, and its code."""
_WAIT = re.compile(r"try again after '(\d+)' seconds")


@dataclass(frozen=True)
class Asked:
    """A recorded request, taken apart; `names` are those in its path, in lower case."""

    exchange: Exchange
    names: Mapping[str, str]

    @property
    def body(self) -> Mapping[str, Any]:
        return self.exchange.request or {}

    @property
    def answer(self) -> Any:
        return self.exchange.body or {}

    @property
    def properties(self) -> Mapping[str, Any]:
        return self.body.get("properties") or {}

    @property
    def shown(self) -> Mapping[str, Any]:
        return self.answer.get("properties") or {}

    @property
    def last(self) -> str:
        return unquote(self.exchange.path.rstrip("/").rpartition("/")[2])


@dataclass(frozen=True)
class Kind:
    """A kind of request that our adapters make: how, and how to tell whether its answer was read
    rightly."""

    name: str
    method: str
    path: str
    call: Callable[[Client, Asked], Awaitable[Any]]
    check: Callable[[Asked, Any], None]
    wanted: Callable[[Asked], bool] = lambda _: True
    same_query: bool = True
    follows: str = ""
    """The path of the polls that the call makes."""
    answers: tuple[int, ...] = ()
    """Statuses that look like refusals, and are none."""


@dataclass(frozen=True)
class Call:
    """One call of ours, and the exchanges that it makes."""

    kind: Kind
    asked: Asked
    exchanges: tuple[Exchange, ...]

    async def play(self, client: Client, meaning: Callable[[Exchange], Meaning]) -> list[str]:
        """What is not as recorded. `meaning` says what a refusal must be to us."""
        client.play(self.exchanges, same_query=self.kind.same_query)
        seq = f"{self.exchanges[0].seq} {self.kind.name}"
        try:
            await self._compare(client, meaning)
        except AssertionError as error:
            return [f"{seq}: {error}"]
        return [f"{seq}: {what}" for what in client.wrong]

    async def _compare(self, client: Client, meaning: Callable[[Exchange], Meaning]) -> None:
        first = self.exchanges[0]
        if first.status < 400 or first.status in self.kind.answers:
            self.kind.check(self.asked, await self.kind.call(client, self.asked))
            return
        kind, code = meaning(first)
        with pytest.raises(kind) as refused:
            await self.kind.call(client, self.asked)
        assert refused.value.code == code, str(refused.value)
        if said := _WAIT.search(str(first.body)):
            assert isinstance(refused.value, Transient)
            assert refused.value.retry_after == float(said[1])


def calls_in(exchanges: Sequence[Exchange], kinds: Sequence[Kind]) -> Iterator[Call]:
    """The calls that make the exchanges, in their order; what none makes is left out."""
    coming = deque(exchanges)
    while coming:
        first = coming.popleft()
        for kind, asked in _found(first, kinds):
            polls = tuple(_polls(coming, kind)) if first.status < 300 else ()
            yield Call(kind, asked, (first, *polls))


def _found(exchange: Exchange, kinds: Sequence[Kind]) -> Iterator[tuple[Kind, Asked]]:
    """The kind of request that it is, if it is one of them."""
    for kind in kinds:
        found = re.fullmatch(kind.path, plain(exchange.path))
        if exchange.method == kind.method and found:
            asked = Asked(exchange, found.groupdict())
            if kind.wanted(asked):
                yield kind, asked
                return


def _polls(coming: deque[Exchange], kind: Kind) -> Iterator[Exchange]:
    """Those up to the first that shows an end; the CLI looks once more at times."""
    while coming and kind.follows and re.fullmatch(kind.follows, plain(coming[0].path)):
        poll = coming.popleft()
        yield poll
        if (poll.body or {}).get("status") != "InProgress":
            return


def same(ours: object, theirs: object) -> None:
    assert ours == theirs
