"""Errors that Microsoft.Compute is recorded to have answered, had from the fake.

Those that follow from the fake's state are made by making that state; those of Azure's bad days
are scripted, which proves that tests of the engine can have them.
"""

import json
import re
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from local.arm.throttling import Limits, Rate
from tests.stack.arm_fixtures import SUBSCRIPTION, TOKEN, Arm, running_arm, settings_for
from tests.stack.arm_replaying import RECORDINGS, Exchange, Replay, differences, load
from tests.stack.azurite_fixtures import RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not RECORDINGS.is_dir(), reason="the recordings are not here (../shared/recordings)"
    ),
]

CATALOGUE = "errors_compute_catalogue"
NATURAL = {0, 1, 2, 3, 4, 6, 7}
SCRIPTED = {10, 11, 13, 14, 15, 16}
THROTTLED = 12
NOT_OURS = {5, 8, 9}
"""Disk encryption sets; what is scripted of theirs is an error of Azure's front door."""


@pytest.fixture
async def replay(arm: Arm) -> Replay:
    return Replay(arm.origin, arm.http, TOKEN)


async def make_group(arm: Arm, exchange: Exchange) -> None:
    parts = exchange.path.split("/")
    if "resourceGroups" in parts:
        path = "/".join(parts[:5])
        await arm.call("PUT", path, {"location": "westus"}, version="2021-04-01")


async def open_upload(arm: Arm, exchange: Exchange) -> None:
    """A disk that waits for its upload, of which nothing has come yet."""
    disk = exchange.path.rpartition("/")[0]
    creation = {"createOption": "Upload", "uploadSizeBytes": 20972032}
    body = {"location": "westus", "properties": {"creationData": creation}}
    await arm.call("PUT", disk, body)
    access = {"access": "Write", "durationInSeconds": 60}
    await arm.call("POST", f"{disk}/beginGetAccess", access)


BEFORE: dict[int, Callable[[Arm, Exchange], Awaitable[None]]] = {0: open_upload}


def shape_of(found: list[str]) -> list[str]:
    """Differences that count; a message may name other blobs and times."""
    return [each for each in found if "header" not in each]


def test_every_error_of_the_catalogue_is_spoken_for() -> None:
    numbers = set(range(len(load(CATALOGUE))))
    assert numbers == NATURAL | SCRIPTED | NOT_OURS | {THROTTLED}
    for number in NOT_OURS:
        assert "diskEncryptionSets" in load(CATALOGUE)[number].path


@pytest.mark.parametrize("number", sorted(NATURAL))
async def test_it_follows_from_what_is_there(arm: Arm, replay: Replay, number: int) -> None:
    exchange = load(CATALOGUE)[number]
    await make_group(arm, exchange)
    if before := BEFORE.get(number):
        await before(arm, exchange)
    got = await replay.send(exchange)
    assert shape_of(differences(exchange, got)) == []
    if number != 0:
        assert got.body == exchange.answer


@pytest.mark.parametrize("number", sorted(SCRIPTED))
async def test_it_can_be_scripted(arm: Arm, replay: Replay, number: int) -> None:
    exchange = load(CATALOGUE)[number]
    error: dict[str, Any] = exchange.answer["error"]
    fault = {
        "method": exchange.method,
        "status": exchange.status,
        "error_code": error["code"],
        "message": error["message"],
    }
    async with arm.http.post(f"{arm.origin}/__faults", json=[fault]) as answer:
        assert answer.status == 200
    # Azure's front door says these of any resource; disk encryption sets are not ours.
    path = exchange.path.replace("/diskEncryptionSets/", "/disks/")
    got = await replay.request(exchange.method, f"{path}?{exchange.query}", {})
    assert (got.status, got.body) == (exchange.status, exchange.answer)


async def test_too_many_writes(storage: RunningStorage) -> None:
    exchange = load(CATALOGUE)[THROTTLED]
    limits = Limits(writes=Rate(2, 1 / 6))
    async with running_arm(settings_for(storage, limits=limits)) as arm:
        replay = Replay(arm.origin, arm.http, TOKEN)
        subscription = exchange.path.split("/")[2]
        assert subscription != SUBSCRIPTION
        for _ in range(2):
            await make_group(arm, exchange)
        got = await replay.send(exchange)
    assert shape_of(differences(exchange, got)) == []
    # The recorder replaced the subscription in the path, not in the message.
    said, recorded = (
        re.sub(r"'[0-9a-f-]{36}'|'\d'", "…", each["error"]["message"])
        for each in (got.body, exchange.answer)
    )
    assert said == recorded
    assert 4 <= int(got.headers["Retry-After"]) <= 6


async def test_the_hand_transcribed_exchanges_of_compute(arm: Arm, replay: Replay) -> None:
    put, status, disk = [
        each for each in load("transcribed_ps_2020_2025") if "Microsoft.Compute" in each.path
    ]
    await make_group(arm, put)
    explained = ("isArmResource: missing", "body.id: added", "body.name: added", "body.type: added")
    explained += ("publicNetworkAccess: added",)
    for exchange in (put, status):
        got = await replay.send(exchange)
        assert [e for e in differences(exchange, got) if not e.endswith(explained)] == []
        if "Retry-After" in exchange.headers:
            assert got.headers["Retry-After"] == exchange.headers["Retry-After"]
    await make_group(arm, disk)
    body = {
        "location": disk.answer["location"],
        "sku": {"name": disk.answer["sku"]["name"]},
        "tags": {},
        "properties": json.loads(json.dumps(disk.answer["properties"])),
    }
    await replay.request("PUT", f"{disk.path}?{disk.query}", body)
    got = await replay.send(disk)
    assert differences(disk, got) == []
