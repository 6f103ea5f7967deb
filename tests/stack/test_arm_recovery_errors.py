"""Azure's bad days with Recovery Services: every refusal in the recorded catalogue, scripted."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from aiohttp import ClientSession

from tests.stack.recovery_recording import RECORDINGS
from tests.stack.recovery_replay import server_over
from tests.unit.recovery_world import VAULT, World

pytestmark = [
    pytest.mark.stack,
    pytest.mark.skipif(
        not RECORDINGS.is_dir(), reason="the recordings are not here (../shared/recordings)"
    ),
]


def catalogue() -> list[tuple[int, Mapping[str, Any]]]:
    """Each status and error that is recorded, once."""
    lines = (RECORDINGS / "errors_backup_catalogue.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    found = {
        json.dumps([row["status"], row["response_body"]["error"]])
        for row in rows
        if "error" in (row["response_body"] or {})
    }
    return [tuple(json.loads(each)) for each in sorted(found)]


async def test_each_can_be_had_and_passes() -> None:
    world = World()
    await world.make_vault()
    async with server_over(world) as server, ClientSession() as http:
        url = f"{server.origin}{VAULT}/backupJobs?api-version=2024-04-01"
        headers = {"Authorization": "Bearer somebody"}
        for status, error in catalogue():
            fault = {"status": status, "error_code": error["code"], "message": error["message"]}
            world.core.faults.add([fault])
            async with http.get(url, headers=headers) as answer:
                told = (await answer.json())["error"]
                assert answer.status == status
            assert (told["code"], told["message"]) == (error["code"], error["message"])
            async with http.get(url, headers=headers) as answer:
                assert answer.status == 200
    assert all(each["fired"] == 1 for each in world.core.faults.counts())
    assert len(world.core.faults.counts()) >= 20
