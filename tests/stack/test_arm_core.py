"""What every request to the fake ARM goes through: caller, version, rates, locks, faults."""

import asyncio
import json
from contextlib import closing
from dataclasses import replace
from http.client import HTTPConnection, HTTPException
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError

from local.arm import controls
from local.arm.compute.kinds import Terms
from local.arm.faults import Fault
from local.arm.throttling import Limits, Rate
from local.errors import StackError
from tests.stack.arm_fixtures import AT_ONCE, GROUP, REGION, Arm, running_arm, settings_for
from tests.stack.azurite_fixtures import RunningStorage

pytest_plugins = ("tests.stack.azurite_fixtures", "tests.stack.arm_fixtures")
pytestmark = pytest.mark.stack

EMPTY = {
    "location": REGION,
    "properties": {"creationData": {"createOption": "Empty"}, "diskSizeGB": 1},
}


async def script(arm: Arm, *faults: Fault) -> None:
    await asyncio.to_thread(controls.add_faults, arm.origin, faults)


async def fired(arm: Arm) -> list[int]:
    counts = await asyncio.to_thread(controls.read_faults, arm.origin)
    return [each.fired for each in counts]


async def counted(arm: Arm) -> dict[tuple[str, int], int]:
    rows = await asyncio.to_thread(controls.read_counters, arm.origin)
    return {(row.operation, row.status): row.requests for row in rows}


async def test_without_a_token_or_a_version_nothing_is_answered(arm: Arm) -> None:
    url = f"{arm.origin}{arm.id_of('disks', 'd1')}"
    async with arm.http.get(f"{url}?api-version=2024-03-02") as answer:
        assert (answer.status, "WWW-Authenticate" in answer.headers) == (401, True)
        assert (await answer.json())["error"]["code"] == "AuthenticationFailed"
    headers = {"Authorization": "Bearer x"}
    async with arm.http.get(url, headers=headers) as answer:
        assert (await answer.json())["error"]["code"] == "MissingApiVersionParameter"
    async with arm.http.get(f"{url}?api-version=new", headers=headers) as answer:
        assert (await answer.json())["error"]["code"] == "InvalidApiVersionParameter"


async def test_what_is_not_supported_says_so_and_what_is_is_listed(arm: Arm) -> None:
    status, body, _ = await arm.call("GET", arm.id_of("galleries", "g"))
    assert (status, body["error"]["code"]) == (501, "NotImplemented")
    assert "/__operations" in body["error"]["message"]
    async with arm.http.get(f"{arm.origin}/__operations") as answer:
        names = {row["operation"] for row in await answer.json()}
    assert {"Disks_Get", "RestorePoints_Create", "ProtectedItems_CreateOrUpdate"} <= names
    assert (await counted(arm))[("Unsupported", 501)] == 1


async def test_each_answer_names_its_request_and_each_is_counted(arm: Arm) -> None:
    status, _, headers = await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
    assert (status, len(headers["x-ms-request-id"])) == (202, 36)
    await arm.call("GET", arm.id_of("disks", "d1"))
    await arm.call("GET", arm.id_of("disks", "d2"))
    counts = await counted(arm)
    assert counts[("Disks_CreateOrUpdate", 202)] == 1
    assert counts[("Disks_Get", 200)] == 1
    assert counts[("Disks_Get", 404)] == 1
    await asyncio.to_thread(controls.clear_counters, arm.origin)
    assert await counted(arm) == {}


async def test_an_empty_bucket_says_how_long_to_wait(storage: RunningStorage) -> None:
    limits = Limits(reads=Rate(3, 0.05), writes=Rate(10, 0.01))
    async with running_arm(settings_for(storage, limits=limits)) as arm:
        answers = [await arm.call("GET", arm.id_of("disks", "d1")) for _ in range(4)]
        assert [status for status, _, _ in answers] == [404, 404, 404, 429]
        _, body, headers = answers[-1]
        assert body["error"]["code"] == "SubscriptionRequestsThrottled"
        assert "GET/SUBSCRIPTIONS/RESOURCEGROUPS/PROVIDERS/MICROSOFT.COMPUTE/DISKS/" in str(body)
        assert 15 < int(headers["Retry-After"]) <= 20
        _, _, headers = await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
        assert headers["x-ms-ratelimit-remaining-subscription-writes"] == "8"
        somebody_else = {"Authorization": "Bearer other"}
        url = f"{arm.origin}{arm.id_of('disks', 'd1')}?api-version=2024-03-02"
        async with arm.http.get(url, headers=somebody_else) as answer:
            assert answer.status == 200


async def test_a_lock_on_a_group_guards_what_is_in_it(arm: Arm) -> None:
    await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
    lock = f"{arm.group_path}/providers/Microsoft.Authorization/locks/keep"
    level = {"properties": {"level": "CanNotDelete"}}
    status, _, _ = await arm.call("PUT", lock, level, version="2020-05-01")
    assert status == 201
    status, body, _ = await arm.call("DELETE", arm.id_of("disks", "d1"))
    assert (status, body["error"]["code"]) == (409, "ScopeLocked")
    assert arm.group_path in body["error"]["message"]
    assert (await arm.call("PUT", arm.id_of("disks", "d2"), EMPTY))[0] == 202
    await arm.call("PUT", lock, {"properties": {"level": "ReadOnly"}}, version="2020-05-01")
    assert (await arm.call("PUT", arm.id_of("disks", "d3"), EMPTY))[0] == 409
    assert (await arm.call("DELETE", lock, version="2020-05-01"))[0] == 200
    assert (await arm.call("DELETE", arm.id_of("disks", "d1")))[0] == 202


async def test_a_lock_inside_keeps_the_group(arm: Arm) -> None:
    await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
    lock = f"{arm.id_of('disks', 'd1')}/providers/Microsoft.Authorization/locks/keep"
    await arm.call("PUT", lock, {"properties": {"level": "CanNotDelete"}}, version="2020-05-01")
    status, body, _ = await arm.call("DELETE", arm.group_path, version="2021-04-01")
    assert (status, body["error"]["code"]) == (409, "ScopeLocked")


async def test_groups_are_made_found_and_deleted(arm: Arm) -> None:
    path = arm.group_path.replace(GROUP, "new")
    assert (await arm.call("HEAD", path))[0] == 404
    assert (await arm.call("PUT", path, {"location": REGION}))[0] == 201
    assert (await arm.call("PUT", path, {"location": REGION, "tags": {"a": "b"}}))[0] == 200
    status, body, _ = await arm.call("PUT", path, {"location": "elsewhere"})
    assert (status, body["error"]["code"]) == (409, "InvalidResourceGroupLocation")
    assert (await arm.call("HEAD", path))[0] == 204
    assert (await arm.call("GET", path.upper()))[1]["name"] == "new"
    status, _, headers = await arm.call("DELETE", path)
    assert status == 202
    async with arm.http.get(headers["Location"], headers={"Authorization": "Bearer x"}) as answer:
        assert answer.status == 202
    assert (await arm.call("GET", path))[0] == 404


async def test_a_scripted_refusal_is_answered_as_often_as_asked(arm: Arm) -> None:
    await script(
        arm,
        Fault(operation="^Disks_Get$", skip=1, times=2, status=503, error_code="ServerTimeout"),
        Fault(method="PUT", path="d9", status=429, retry_after=7),
    )
    statuses = [(await arm.call("GET", arm.id_of("disks", "d1")))[0] for _ in range(4)]
    assert statuses == [404, 503, 503, 404]
    status, _, headers = await arm.call("PUT", arm.id_of("disks", "d9"), EMPTY)
    assert (status, headers["Retry-After"]) == (429, "7")
    assert await fired(arm) == [2, 1]
    last = await asyncio.to_thread(controls.clear_faults, arm.origin)
    assert [each.seen for each in last] == [4, 1]
    assert await fired(arm) == []


async def test_a_fault_nobody_knows_is_refused(arm: Arm) -> None:
    async with arm.http.post(f"{arm.origin}/__faults", json=[{"explode": True}]) as answer:
        assert answer.status == 400
        assert "explode" in await answer.text()
    with pytest.raises(StackError, match="operation"):
        await script(arm, Fault(operation="("))


def put_once(arm: Arm, name: str) -> None:
    """One PUT over a connection of its own; other clients try again by themselves."""
    connection = HTTPConnection(arm.origin.removeprefix("http://"), timeout=10)
    path = f"{arm.id_of('disks', name)}?api-version=2024-03-02"
    headers = {"Authorization": "Bearer x", "Content-Type": "application/json"}
    with closing(connection):
        connection.request("PUT", path, json.dumps(EMPTY), headers)
        connection.getresponse()


async def test_a_cut_line_before_and_after_the_work(arm: Arm) -> None:
    await script(
        arm, Fault(path="before", drop="before"), Fault(path="after", drop="after", delay_ms=10)
    )
    for name in ("before", "after"):
        with pytest.raises((OSError, HTTPException)):
            await asyncio.to_thread(put_once, arm, name)
    assert (await arm.call("GET", arm.id_of("disks", "before")))[0] == 404
    assert (await arm.call("GET", arm.id_of("disks", "after")))[0] == 200
    assert (await counted(arm))[("Disks_CreateOrUpdate", 0)] == 2


async def made(arm: Arm, fault: Fault) -> tuple[str, dict[str, Any]]:
    """A disk whose operation has a fate: the status URL and what it answers."""
    await script(arm, fault)
    _, _, headers = await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
    url = headers["Azure-AsyncOperation"]
    async with arm.http.get(url, headers={"Authorization": "Bearer x"}) as answer:
        return url, {"status_code": answer.status, **await answer.json()}


async def test_a_stuck_operation_whose_work_is_done(arm: Arm) -> None:
    _, status = await made(arm, Fault(method="PUT", operation_fate="stuck"))
    assert (status["status_code"], status["status"]) == (200, "InProgress")
    disk = (await arm.call("GET", arm.id_of("disks", "d1")))[1]
    assert disk["properties"]["provisioningState"] == "Succeeded"


async def test_a_vanished_operation_whose_work_is_done(arm: Arm) -> None:
    _, status = await made(arm, Fault(method="PUT", operation_fate="vanished"))
    assert (status["status_code"], status["error"]["code"]) == (404, "NotFound")
    assert (await arm.call("GET", arm.id_of("disks", "d1")))[0] == 200


async def test_an_operation_that_fails(arm: Arm) -> None:
    fault = Fault(method="PUT", operation_fate="failed", error_code="X", message="Said so.")
    _, status = await made(arm, fault)
    assert (status["status"], status["error"]) == ("Failed", {"code": "X", "message": "Said so."})
    disk = (await arm.call("GET", arm.id_of("disks", "d1")))[1]
    assert disk["properties"]["provisioningState"] == "Failed"


async def test_the_sdk_tells_of_an_operation_that_failed(arm: Arm) -> None:
    await script(arm, Fault(method="PUT", operation_fate="failed", error_code="X", message="No."))
    async with arm.compute() as compute:
        poller = await compute.disks.begin_create_or_update(GROUP, "d1", EMPTY)  # type: ignore[arg-type]
        with pytest.raises(HttpResponseError, match=r"\(X\) No\."):
            await poller.result()


async def test_a_new_resource_that_is_not_seen_at_first(arm: Arm) -> None:
    await script(arm, Fault(method="PUT", hidden_gets=2))
    await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
    seen = [(await arm.call("GET", arm.id_of("disks", "d1")))[0] for _ in range(3)]
    assert seen == [404, 404, 200]


async def test_the_time_of_the_service_runs_faster(storage: RunningStorage) -> None:
    settings = settings_for(storage, factor=100, terms=Terms(pace=replace(AT_ONCE, disk=100)))
    async with running_arm(settings) as arm:
        _, body, headers = await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
        assert body["properties"]["provisioningState"] == "Updating"
        assert headers["Retry-After"] == "1"
        disk = (await arm.call("GET", arm.id_of("disks", "d1")))[1]
        assert disk["properties"]["provisioningState"] == "Updating"
        await asyncio.sleep(1.2)
        disk = (await arm.call("GET", arm.id_of("disks", "d1")))[1]
        assert disk["properties"]["provisioningState"] == "Succeeded"


async def test_status_urls_are_long_and_differ_each_time(arm: Arm) -> None:
    _, _, headers = await arm.call("PUT", arm.id_of("disks", "d1"), EMPTY)
    ours, location = headers["Azure-AsyncOperation"], headers["Location"]
    assert len(ours) > 3000
    assert "monitor=true" in location
    assert ours.partition("&s=")[2] != location.partition("&s=")[2]


async def test_a_failure_of_the_fake_itself_is_a_500_in_arms_form(
    arm: Arm, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("bug")

    monkeypatch.setattr("local.arm.locks.Locks.check", broken)
    status, body, _ = await arm.call("GET", arm.id_of("disks", "d1"))
    assert (status, body["error"]["code"]) == (500, "InternalServerError")
