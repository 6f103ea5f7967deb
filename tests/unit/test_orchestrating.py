"""When a restore's orchestration is started, started again, or ended first."""

from dataclasses import dataclass, field
from typing import Any

import pytest
from azure.durable_functions.models.DurableOrchestrationStatus import DurableOrchestrationStatus

from functions.orchestrating import start_restore, start_restore_again
from shared.model.ids import ItemId, JobId
from shared.steps.accepted import Accepted

RESTORE = Accepted(item_id=ItemId("disk"), job_id=JobId("disk.restore-1"), restore=True)
ENDED = ["Completed", "Failed", "Terminated", "Canceled"]
ALIVE = ["Running", "Pending", "Suspended", "ContinuedAsNew"]


@dataclass
class TaskHub:
    """What the Durable client is asked for, and the state of the one instance."""

    state: str | None
    asked: list[tuple[str, Any]] = field(default_factory=list)

    async def get_status(self, _: str) -> DurableOrchestrationStatus:
        if self.state is None:
            return DurableOrchestrationStatus()
        return DurableOrchestrationStatus(
            createdTime="2026-11-21T12:00:00Z", runtimeStatus=self.state
        )

    async def start_new(self, name: str, instance_id: str, client_input: Any) -> None:
        assert (client_input["item_id"], client_input["job_id"]) == ("disk", instance_id)
        self.asked.append((f"start {name}", instance_id))

    async def terminate(self, instance_id: str, _: str) -> None:
        self.asked.append(("terminate", instance_id))


STARTED = [("start restore_v1", RESTORE.job_id)]


@pytest.mark.fault(39)
@pytest.mark.parametrize("state", [None, *ENDED, *ALIVE])
async def test_a_command_starts_an_instance_once(state: str | None) -> None:
    """Fault 39: the command comes twice; also after the instance has ended."""
    hub = TaskHub(state)
    await start_restore(hub, RESTORE)  # type: ignore[arg-type]
    assert hub.asked == ([] if state else STARTED)


@pytest.mark.fault(35)
@pytest.mark.parametrize("state", [None, *ENDED])
async def test_one_that_is_gone_or_has_ended_is_started_again(state: str | None) -> None:
    """Fault 35: its job has not ended with it."""
    hub = TaskHub(state)
    await start_restore_again(hub, RESTORE)  # type: ignore[arg-type]
    assert hub.asked == STARTED


@pytest.mark.parametrize("state", ALIVE)
async def test_one_that_hangs_makes_way_first(state: str) -> None:
    hub = TaskHub(state)
    await start_restore_again(hub, RESTORE)  # type: ignore[arg-type]
    assert hub.asked == [("terminate", RESTORE.job_id)]
