"""Replays a recording's requests to Recovery Services against the fake, and tells the differences.

The fake runs over machines in memory, on a clock that the replay turns. What the recording names by
chance (operations, jobs, points) is learnt from the answers, as a client learns it. Polls of one
URL are compared as the sequence of what they show, however many there were.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from aiohttp import ClientSession
from yarl import URL

from local.arm.server import ArmServer
from tests.stack.recovery_comparing import Terms, between
from tests.stack.recovery_recording import (
    Exchange,
    elapsed,
    is_polled,
    makes_vault,
    may_be_missed,
    runs,
    shown,
    still,
)
from tests.unit.recovery_world import MemoryVm, World

_SIGNED = frozenset({"t", "c", "s", "h"})
_FOLLOWED = ("Azure-AsyncOperation", "Location")
_POLL_SECONDS = 10.0
_MOST_POLLS = 900


@dataclass(frozen=True)
class Difference:
    """What is not as recorded, and where."""

    seq: int | str
    method: str
    path: str
    what: str


@dataclass(frozen=True)
class Outcome:
    """A replay's result."""

    differences: tuple[Difference, ...]
    compared: int
    requests: int
    injected: int


@dataclass
class Replay:
    """One recording against one fake.

    `exact`: a field that the recording lacks is a difference, too. `retries` compares Retry-After,
    which most recordings have lost.
    """

    world: World
    http: ClientSession
    origin: str
    exact: bool = True
    retries: bool = False
    late_machines: Sequence[MemoryVm] = ()
    gone_machines: Sequence[str] = ()
    scripted: frozenset[str] = frozenset()
    soft_delete: bool = True
    names: dict[str, str] = field(default_factory=dict)
    jobs: dict[str, datetime] = field(default_factory=dict)
    last_shown: dict[str, str] = field(default_factory=dict)
    differences: list[Difference] = field(default_factory=list)
    compared: int = 0
    requests: int = 0
    injected: int = 0

    async def play(self, exchanges: Sequence[Exchange]) -> Outcome:
        """Sends what is ours of a recording, in its order."""
        ours = [each for each in exchanges if each.is_ours]
        for run in runs(ours):
            await self._prepare(run[0])
            if run[0].is_disturbance:
                await self._disturb(run[0])
            else:
                await self._play_run(run)
        return Outcome(tuple(self.differences), self.compared, self.requests, self.injected)

    async def _prepare(self, exchange: Exchange) -> None:
        """What happened in the cloud meanwhile: time passed, machines came and went."""
        self.world.pass_time(seconds=1)
        if "/operationResults/" in exchange.path:
            for vm in self.late_machines:
                self.world.cloud.machines.setdefault(vm.id.casefold(), vm)
            for key in self.gone_machines:
                self.world.cloud.machines.pop(key, None)
        self._catch_up(exchange)

    def _catch_up(self, exchange: Exchange) -> None:
        """A run that goes on after a disturbance goes on as late as the recording did."""
        so_far = elapsed(exchange.body)
        if so_far is None:
            return
        began = self.jobs.setdefault(exchange.path, self.world.now - so_far)
        self.world.now = max(self.world.now, began + so_far)

    async def _cause(self, exchange: Exchange) -> None:
        """Makes a job fail as it was recorded to, before it does."""
        properties = (exchange.body or {}).get("properties") if exchange.status == 200 else None
        for error in (properties or {}).get("errorDetails") or ():
            if error["errorTitle"] == "UserErrorVmNotFoundV2":
                self.world.pass_time(seconds=_POLL_SECONDS)
                await self.world.service.settle(self.world.now)
                machines = self.world.cloud.machines
                name = properties["entityFriendlyName"].casefold()
                for key in [key for key in machines if key.endswith(f"/{name}")]:
                    del machines[key]
            elif error["errorTitle"] in self.scripted:
                self.world.service.script({"failure": error["errorTitle"]})

    async def _disturb(self, exchange: Exchange) -> None:
        error = exchange.body["error"]
        fault = {
            "method": exchange.method,
            "status": exchange.status,
            "error_code": error["code"],
            "message": error["message"],
        }
        self.world.core.faults.add([fault])
        self.injected += 1
        self.compared += 1
        answer = await self._send(exchange)
        self._compare(exchange, answer)

    async def _play_run(self, run: Sequence[Exchange]) -> None:
        wanted = [
            each for each, before in zip(run, [None, *run], strict=False)
            if before is None or before.shows != each.shows
        ]  # fmt: skip
        self.compared += len(run)
        while wanted:
            await self._cause(wanted[0])
            answer = await self._poll(wanted)
            while may_be_missed(wanted) and answer.shows != wanted[0].shows:
                wanted = wanted[1:]
            self._compare(wanted[0], answer)
            if not self.soft_delete and makes_vault(wanted[0]):
                await self._without_soft_delete(wanted[0])
            if answer.shows != wanted[0].shows:
                return
            self.last_shown[wanted[0].path] = answer.shows
            wanted = wanted[1:]

    async def _without_soft_delete(self, creation: Exchange) -> None:
        """A vault of the days before there was any."""
        config = {"properties": {"softDeleteFeatureState": "Disabled"}}
        self.world.pass_time(seconds=_POLL_SECONDS)
        await self.world.answer("PATCH", f"{creation.path}/backupconfig/vaultconfig", config)

    async def _poll(self, wanted: Sequence[Exchange]) -> "Answered":
        """Asks until the answer shows something new; others than polls ask once."""
        exchange, before = wanted[0], self.last_shown.get(wanted[0].path)
        recorded = {each.shows for each in wanted}
        for _ in range(_MOST_POLLS if is_polled(exchange) else 1):
            answer = await self._send(exchange)
            if answer.shows in recorded or not still(exchange, answer.shows, before):
                break
            self.world.pass_time(seconds=_POLL_SECONDS)
        return answer

    async def _send(self, exchange: Exchange) -> "Answered":
        url = self.origin + self._named(exchange.path) + self._query(exchange)
        body = json.loads(self._named(json.dumps(exchange.request))) if exchange.request else None
        self.requests += 1
        headers = {"Authorization": "Bearer somebody"}
        request = self.http.request(
            exchange.method, URL(url, encoded=True), json=body, headers=headers
        )
        async with request as answer:
            content = await answer.read()
            parsed = json.loads(content) if content else None
            return Answered(answer.status, parsed, dict(answer.headers))

    def _query(self, exchange: Exchange) -> str:
        kept = [
            (name, value)
            for name, value in parse_qsl(exchange.query.replace("+", "%20"))
            if name not in _SIGNED
        ]
        return "?" + "&".join(f"{name}={value}".replace(" ", "%20") for name, value in kept)

    def _named(self, text: str) -> str:
        """With the fake's names for what the recording names."""
        for recorded, ours in self.names.items():
            text = text.replace(recorded, ours)
        return text

    # --- comparing ----------------------------------------------------------------------------

    def _compare(self, exchange: Exchange, answer: "Answered") -> None:
        if answer.status != exchange.status:
            said = answer.body if answer.status >= 400 else ""
            self._differs(exchange, f"status {answer.status} instead of {exchange.status} {said}")
            return
        self._learn(exchange, answer)
        self._compare_headers(exchange, answer)
        if bool(exchange.body) != bool(answer.body):
            self._differs(exchange, f"body {answer.body} instead of {exchange.body}")
        elif exchange.body:
            terms = Terms(self.exact, self._named)
            for what in between(exchange.body, answer.body, "", terms):
                self._differs(exchange, what)

    def _compare_headers(self, exchange: Exchange, answer: "Answered") -> None:
        names = _FOLLOWED + (("Retry-After",) if self.retries and exchange.status == 202 else ())
        for name in names:
            recorded, ours = exchange.headers.get(name), answer.headers.get(name)
            if bool(recorded) != bool(ours):
                self._differs(exchange, f"header {name}: {ours} instead of {recorded}")
            elif recorded and ours and name != "Retry-After":
                self._compare_urls(exchange, name, recorded, ours)

    def _compare_urls(self, exchange: Exchange, name: str, recorded: str, ours: str) -> None:
        wanted, got = urlsplit(self._named(recorded)), urlsplit(ours)
        if wanted.path.casefold() != got.path.casefold():
            self._differs(exchange, f"{name} leads to {got.path} instead of {wanted.path}")
        versions = [dict(parse_qsl(each.query)).get("api-version") for each in (wanted, got)]
        if versions[0] != versions[1]:
            self._differs(exchange, f"{name} has api-version {versions[1]} not {versions[0]}")

    def _learn(self, exchange: Exchange, answer: "Answered") -> None:
        for name in _FOLLOWED:
            if name in exchange.headers and name in answer.headers:
                self._pair(_last(exchange.headers[name]), _last(answer.headers[name]))
        if isinstance(exchange.body, dict) and isinstance(answer.body, dict):
            jobs = [
                (each.get("properties") or {}).get("jobId") for each in (exchange.body, answer.body)
            ]
            self._pair(*jobs)
            if exchange.path.endswith("/recoveryPoints") and exchange.status == 200:
                for recorded, ours in zip(
                    exchange.body["value"], answer.body["value"], strict=False
                ):
                    self._pair(recorded["name"], ours["name"])

    def _pair(self, recorded: str | None, ours: str | None) -> None:
        if recorded and ours and recorded != ours:
            self.names[recorded] = ours

    def _differs(self, exchange: Exchange, what: str) -> None:
        difference = Difference(exchange.seq, exchange.method, exchange.below_vault, what)
        self.differences.append(difference)


@dataclass(frozen=True)
class Answered:
    """What the fake answered."""

    status: int
    body: Any
    headers: Mapping[str, str]

    @property
    def shows(self) -> str:
        return shown(self.status, self.body)


def _last(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def server_over(world: World) -> ArmServer:
    return ArmServer(world.core, [world.service])
