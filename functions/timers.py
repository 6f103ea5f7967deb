"""What the clock starts."""

import azure.durable_functions as df
import azure.functions as func

from functions.orchestrating import start_restore_again
from functions.runtime import ports
from shared.steps.reconcile import reconcile
from shared.steps.tick import tick

blueprint = df.Blueprint()


@blueprint.function_name("tick")
@blueprint.timer_trigger(arg_name="timer", schedule="%VAULTLINE_TICK_SCHEDULE%")
async def on_tick(timer: func.TimerRequest) -> None:
    """Starts the backups that are due."""
    await tick(await ports())


@blueprint.function_name("reconcile")
@blueprint.timer_trigger(arg_name="timer", schedule="%VAULTLINE_RECONCILE_SCHEDULE%")
@blueprint.durable_client_input(client_name="client")
async def on_reconcile(timer: func.TimerRequest, client: df.DurableOrchestrationClient) -> None:
    """Moves on what stopped moving; restores, too, whose orchestration hangs or is gone."""
    found = await reconcile(await ports())
    for restore in found.restores:
        await start_restore_again(client, restore)
