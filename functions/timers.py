"""What the clock starts."""

import azure.functions as func

from functions.runtime import ports
from shared.steps.reconcile import reconcile
from shared.steps.tick import tick

blueprint = func.Blueprint()


@blueprint.function_name("tick")
@blueprint.timer_trigger(arg_name="timer", schedule="%VAULTLINE_TICK_SCHEDULE%")
async def on_tick(timer: func.TimerRequest) -> None:
    """Starts the backups that are due."""
    await tick(await ports())


@blueprint.function_name("reconcile")
@blueprint.timer_trigger(arg_name="timer", schedule="%VAULTLINE_RECONCILE_SCHEDULE%")
async def on_reconcile(timer: func.TimerRequest) -> None:
    """Moves on what stopped moving."""
    await reconcile(await ports())
