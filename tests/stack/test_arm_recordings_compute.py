"""The recorded exchanges of Microsoft.Compute, replayed against the fake ARM.

Each difference that is left has its reason here; docs/fidelity.md is the table for people.
"""

import asyncio
import re
from collections.abc import Sequence
from typing import Any

import pytest

from tests.stack.arm_fixtures import TOKEN, Arm, running_arm, settings_for
from tests.stack.arm_replaying import RECORDINGS, Exchange, Got, Replay, differences, load
from tests.stack.azurite_fixtures import RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not RECORDINGS.is_dir(), reason="the recordings are not here (../shared/recordings)"
    ),
]

COVERED = (
    "compute2024_vm_managed_disk",
    "compute2024_snapshot_incremental_FULLURLS",
    "compute2024_vm_disk_upload",
    "compute2024_restore_point",
    "compute2024_restore_point_collection",
    "compute2024_copy_vm_restore_point",
    "compute2024_vm_disk_from_restore_point",
    "ps2018_disk",
    "ps2018_snapshot",
)

OUT_OF_SCOPE = {
    r"^compute2024_vm_managed_disk (39|40|48|49|57|58) GET": "the making of images, not ours",
}

ALLOWED = {
    r"^ps2018_\w+ .*: added$": "2017-03-30 did not have these fields yet; we answer today's",
    r"^ps2018_\w+ .*(isArmResource|faultDomain): missing$": "gone from today's answers",
    r"^ps2018_\w+ 7 GET": "recorded out of order: it shows what the PATCH after it did",
}


async def make_groups(arm: Arm, exchanges: Sequence[Exchange]) -> None:
    """The groups that the recordings' own, left-out exchanges had made."""
    found = {
        match.groups()
        for each in exchanges
        if (match := re.match(r"/subscriptions/([^/]+)/resourceGroups/([^/]+)", each.path))
    }
    for subscription, group in found:
        path = f"/subscriptions/{subscription}/resourceGroups/{group}"
        await arm.call("PUT", path, {"location": "westus"}, version="2021-04-01")


async def make_vm(replay: Replay, exchange: Exchange) -> None:
    """The machine that a recorded GET shows; its making was left out of the recording."""
    url = f"{exchange.path}?{exchange.query}"
    known = await replay.request("GET", url)
    if exchange.status != 200 or known.status == 200:
        return
    shown = exchange.answer
    properties = {
        name: value
        for name, value in shown["properties"].items()
        if name not in ("instanceView", "provisioningState", "vmId", "timeCreated")
    }
    os_disk = dict(properties["storageProfile"]["osDisk"])
    disk_sku = os_disk["managedDisk"]["storageAccountType"]
    os_disk["managedDisk"] = {"storageAccountType": disk_sku}
    properties["storageProfile"] = {**properties["storageProfile"], "osDisk": os_disk}
    body = {"location": shown["location"], "properties": properties}
    if "tags" in shown:
        body["tags"] = shown["tags"]
    made = await replay.request("PUT", f"{exchange.path}?api-version=2024-07-01", body)
    assert made.status == 201, made.body
    while (await replay.request("GET", url)).body["properties"]["provisioningState"] == "Creating":
        await asyncio.sleep(0.1)


async def seen_at_boot(replay: Replay, exchange: Exchange) -> Got:
    """The machine as the recording saw it: some were asked before their agent was up."""
    if exchange.status != 200:
        return await replay.send(exchange)
    agent = exchange.answer["properties"]["instanceView"]["vmAgent"]
    ready = agent["statuses"][0]["displayStatus"] == "Ready"
    await replay.request("PUT", "/__guests", {"vm": exchange.path, "agentReady": ready})
    got = await replay.send(exchange)
    await replay.request("PUT", "/__guests", {"vm": exchange.path, "agentReady": True})
    return got


def reason_for(recording: str, exchange: Exchange, difference: str) -> str | None:
    line = f"{recording} {exchange.title} | {difference}"
    return next((why for pattern, why in ALLOWED.items() if re.search(pattern, line)), None)


@pytest.mark.parametrize("recording", COVERED)
async def test_the_fake_answers_as_recorded(storage: RunningStorage, recording: str) -> None:
    exchanges = load(recording)
    unexplained: list[str] = []
    async with running_arm(settings_for(storage, terms=None, factor=200)) as arm:
        await make_groups(arm, exchanges)
        replay = Replay(arm.origin, arm.http, TOKEN)
        for exchange in exchanges:
            unexplained += await replayed(replay, recording, exchange)
    assert not unexplained, "\n".join(unexplained)


async def replayed(replay: Replay, recording: str, exchange: Exchange) -> list[str]:
    """The differences of one exchange that nothing explains."""
    if any(re.search(pattern, f"{recording} {exchange.title}") for pattern in OUT_OF_SCOPE):
        return []
    if "/virtualMachines/" in exchange.path and exchange.method == "GET":
        await make_vm(replay, exchange)
        got = await seen_at_boot(replay, exchange)
    else:
        got = await replay.send(exchange)
    found: list[Any] = [
        each for each in differences(exchange, got) if reason_for(recording, exchange, each) is None
    ]
    return [f"{exchange.title} | {each}" for each in found]
