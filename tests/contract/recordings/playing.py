"""A server that answers our client from a recording, exchange by exchange, and looks at what it is
asked: it stands where Resource Manager would, behind the real SDK."""

import json
import re
from collections import deque
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import parse_qs, unquote

from aiohttp import web

from shared.azure.arm import Arm
from shared.azure.http import Pool
from shared.memory.clock import ManualClock
from shared.model.cloud import Cloud
from tests.stack.recovery_recording import Exchange

AZURE = "https://management.azure.com"
_SUBSCRIPTION = re.compile(r"(?i)/subscriptions/([0-9a-f-]{36})")
_GROUP = re.compile(r"(?i)/resourcegroups/([^/'\"]+)")
_FRACTION = re.compile(r"(?<=:\d\d)\.\d+Z$")
"""What times have behind the second."""
_OLD_NAMES = (
    ("microsoft.recoveryservicesbvtd", "microsoft.recoveryservices"),
    ("/backupfabrics/azureiaasvm/", "/backupfabrics/azure/"),
    ("microsoft.classiccompute/virtualmachines", "microsoft.compute/virtualmachines"),
)
"""What 2016 called the provider, in a test ring, the fabric, and the machines of then."""
IN_OURS_ALONE = frozenset(
    {
        "properties.recoveryPointExpiryTimeInUTC",  # PowerShell left it to Azure
        "properties.sourceResourceId",  # of classic machines there was none
        "properties.originalStorageAccountOption",  # came after 2016
    }
)
IN_THEIRS_ALONE = re.compile(
    r"tags|properties\.(monitoringSettings|publicNetworkAccess|securitySettings|restoreSettings"
    r"|protectedItemsCount|encryptionDetails|createNewCloudService)\b"
)
"""What others say besides, and we leave as it is: alerts, networks, immutability, keys."""
_ANY = frozenset({"properties.createNewCloudService", "durationInSeconds"})
"""What means nothing for machines of today, and what everybody chooses."""


@dataclass
class Recorded:
    """The exchanges that are to come, and what was wrong with those that came."""

    origin: str = ""
    coming: deque[Exchange] = field(default_factory=deque)
    wrong: list[str] = field(default_factory=list)
    same_query: bool = True
    same_path: bool = True

    async def answer(self, request: web.Request) -> web.Response:
        if not self.coming:
            self.wrong.append(f"nothing was recorded after it: {request.method} {request.path}")
            return web.Response(status=599)
        exchange = self.coming.popleft()
        if self.same_path:
            self.wrong += await _differences(exchange, request, self.same_query)
        body = None if exchange.body is None else json.dumps(exchange.body)
        text = None if body is None else body.replace(AZURE, self.origin)
        headers = {
            name: value.replace(AZURE, self.origin) for name, value in exchange.headers.items()
        }
        headers.pop("Content-Type", None)
        return web.Response(
            status=exchange.status, text=text, headers=headers, content_type="application/json"
        )


async def _differences(exchange: Exchange, request: web.Request, same_query: bool) -> list[str]:
    found = []
    if request.method != exchange.method:
        found.append(f"asked by {request.method}, recorded {exchange.method} {exchange.path}")
    if plain(request.path) != plain(exchange.path):
        found.append(f"asked for {plain(request.path)}, recorded {plain(exchange.path)}")
    ours, theirs = request.query.get("$filter"), _filter(exchange.query)
    if same_query and ours != theirs:
        found.append(f"{exchange.path}: filter {ours}, recorded {theirs}")
    if exchange.status < 400 and (request.can_read_body or exchange.request):
        sent = await request.json() if request.can_read_body else None
        found += _body_differences(exchange, sent)
    return found


def plain(path: str) -> str:
    """A path as Azure compares it."""
    text = unquote(path).lower().rstrip("/")
    for old, new in _OLD_NAMES:
        text = text.replace(old, new)
    return text


def _filter(query: str) -> str | None:
    return next(iter(parse_qs(query).get("$filter") or ()), None)


def _body_differences(exchange: Exchange, sent: Any) -> list[str]:
    """Every field that both send has the same value; fields of one of them alone are known."""
    ours, theirs = dict(_leaves(sent)), dict(_leaves(exchange.request))
    differ = [
        f"{exchange.method} {exchange.path}: {key} is {ours[key]}, recorded {theirs[key]}"
        for key in (ours.keys() & theirs.keys()) - _ANY
        if plain(str(ours[key])) != plain(str(theirs[key]))
    ]
    added = [
        f"{exchange.path}: {key} is sent" for key in ours.keys() - theirs.keys() - IN_OURS_ALONE
    ]
    said = {key for key, value in theirs.items() if value and not IN_THEIRS_ALONE.match(key)}
    left = said - ours.keys()
    return [*differ, *added, *(f"{exchange.path}: {key} is not sent" for key in left)]


def _leaves(value: Any, path: str = "") -> list[tuple[str, Any]]:
    if isinstance(value, dict):
        below = [_leaves(each, f"{path}.{name}".lstrip(".")) for name, each in value.items()]
        return [leaf for leaves in below for leaf in leaves]
    if isinstance(value, list):
        below = [_leaves(each, f"{path}[{at}]") for at, each in enumerate(value)]
        return [leaf for leaves in below for leaf in leaves]
    return [] if value is None else [(path, _FRACTION.sub("Z", str(value)))]


@dataclass(frozen=True)
class Client:
    """Our connection to Resource Manager, and the recording that it speaks to."""

    arm: Arm
    pool: Pool
    recorded: Recorded

    def play(
        self, exchanges: Sequence[Exchange], *, same_query: bool = True, same_path: bool = True
    ) -> None:
        """What is to come now."""
        self.recorded.coming = deque(exchanges)
        self.recorded.wrong = []
        self.recorded.same_query = same_query
        self.recorded.same_path = same_path

    @property
    def wrong(self) -> list[str]:
        """What was asked for otherwise than recorded, or not at all."""
        left = [f"{each.method} {each.path} was not asked for" for each in self.recorded.coming]
        return self.recorded.wrong + left


@asynccontextmanager
async def client_of(exchanges: Sequence[Exchange]) -> AsyncIterator[Client]:
    """A client that may use the subscriptions of a recording, and restore into its groups."""
    recorded, pool = Recorded(), Pool(2)
    app = web.Application(client_max_size=2**24)
    app.router.add_route("*", "/{path:.*}", recorded.answer)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        recorded.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        known = {found for each in exchanges for found in _SUBSCRIPTION.findall(each.path)}
        targets = {found for each in exchanges for found in _GROUP.findall(str(each.request))}
        cloud = Cloud(
            endpoint=recorded.origin,
            subscriptions=frozenset(map(str.lower, known)),
            restore_groups=frozenset(map(str.lower, targets)),
        )
        yield Client(Arm(cloud, _nobody, pool, ManualClock()), pool, recorded)
    finally:
        await pool.close()
        await runner.cleanup()


def _nobody() -> Any:
    raise AssertionError("no token goes over plain http")
