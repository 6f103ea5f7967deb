"""Starting a restore's orchestration: once, or once more where it hangs."""

import azure.durable_functions as df

from functions.restores import ORCHESTRATOR
from shared import telemetry
from shared.steps.accepted import Accepted

_ENDED = (
    df.OrchestrationRuntimeStatus.Completed,
    df.OrchestrationRuntimeStatus.Failed,
    df.OrchestrationRuntimeStatus.Terminated,
    df.OrchestrationRuntimeStatus.Canceled,
)


async def start_restore(client: df.DurableOrchestrationClient, accepted: Accepted) -> None:
    """Once, however often the command arrives: the instance has the job's id (fault 39)."""
    if await _state(client, accepted) is None:
        await _start(client, accepted)


async def start_restore_again(client: df.DurableOrchestrationClient, accepted: Accepted) -> None:
    """Where its job stands still (fault 35). An instance that is there makes way first: then it
    is started at the next look, once its end is certain."""
    state = await _state(client, accepted)
    if state is None or state in _ENDED:
        await _start(client, accepted)
    else:
        await client.terminate(accepted.job_id, "its job did not move any more")


async def _state(
    client: df.DurableOrchestrationClient, accepted: Accepted
) -> df.OrchestrationRuntimeStatus | None:
    status = await client.get_status(accepted.job_id)
    return status.runtime_status if status else None


async def _start(client: df.DurableOrchestrationClient, accepted: Accepted) -> None:
    await client.start_new(
        ORCHESTRATOR,
        instance_id=accepted.job_id,
        client_input={
            "item_id": accepted.item_id,
            "job_id": accepted.job_id,
            "traceparent": telemetry.traceparent(),
        },
    )
