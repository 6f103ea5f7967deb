"""One trigger a queue. All the rest is `shared.steps.dispatch`."""

from typing import Any

import azure.durable_functions as df
import azure.functions as func

from functions.orchestrating import start_restore
from functions.runtime import ports
from shared.model.messages import COMMANDS, COPY, RETENTION, SNAPSHOT, TRANSFER, VAULTS
from shared.steps.accepted import Accepted
from shared.steps.dispatch import Delivery, dispatch

blueprint = df.Blueprint()
CONNECTION = "ServiceBusConnection"


def _delivery(queue: str, message: func.ServiceBusMessage) -> Delivery:
    properties = message.application_properties or {}
    return Delivery(
        queue=queue,
        message_id=message.message_id or f"seq-{message.sequence_number}",
        lock_token=message.lock_token or "",
        body=message.get_body(),
        traceparent=str(properties.get("traceparent", "")),
    )


async def _serve(queue: str, message: func.ServiceBusMessage) -> Any:
    return await dispatch(await ports(), _delivery(queue, message))


@blueprint.function_name("commands")
@blueprint.service_bus_queue_trigger("message", CONNECTION, COMMANDS)
@blueprint.durable_client_input(client_name="client")
async def on_command(
    message: func.ServiceBusMessage, client: df.DurableOrchestrationClient
) -> None:
    """What people ask for; a restore goes on as an orchestration named after its job."""
    accepted = await _serve(COMMANDS, message)
    if isinstance(accepted, Accepted) and accepted.restore:
        await start_restore(client, accepted)


@blueprint.function_name("snapshot")
@blueprint.service_bus_queue_trigger("message", CONNECTION, SNAPSHOT)
async def on_snapshot(message: func.ServiceBusMessage) -> None:
    """Takes a source snapshot."""
    await _serve(SNAPSHOT, message)


@blueprint.function_name("transfer-to-vault")
@blueprint.service_bus_queue_trigger("message", CONNECTION, TRANSFER)
async def on_transfer(message: func.ServiceBusMessage) -> None:
    """Plans a transfer, sends its parts out, or commits it."""
    await _serve(TRANSFER, message)


@blueprint.function_name("incremental-copy")
@blueprint.service_bus_queue_trigger("message", CONNECTION, COPY)
async def on_copy(message: func.ServiceBusMessage) -> None:
    """Carries out one part of a plan."""
    await _serve(COPY, message)


@blueprint.function_name("retention")
@blueprint.service_bus_queue_trigger("message", CONNECTION, RETENTION)
async def on_retention(message: func.ServiceBusMessage) -> None:
    """Removes what the policy no longer keeps."""
    await _serve(RETENTION, message)


@blueprint.function_name("recovery-services")
@blueprint.service_bus_queue_trigger("message", CONNECTION, VAULTS)
async def on_vault(message: func.ServiceBusMessage) -> None:
    """Has a Recovery Services vault do a job's work, or looks how far it is."""
    await _serve(VAULTS, message)
