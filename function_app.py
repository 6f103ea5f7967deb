"""The function app: registers the blueprints, nothing else."""

import azure.functions as func

from functions.health import blueprint as health
from functions.queues import blueprint as queues
from functions.restores import blueprint as restores
from functions.timers import blueprint as timers

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)
for blueprint in (timers, queues, restores, health):
    app.register_functions(blueprint)
