"""Is the app able to work: its settings are there, its state answers."""

import json

import azure.functions as func

from functions.runtime import ports
from shared.model.errors import VaultlineError

blueprint = func.Blueprint()


@blueprint.function_name("health")
@blueprint.route(route="health", methods=["GET"])
async def health(req: func.HttpRequest) -> func.HttpResponse:
    """200 where the app can reach its tables; 503 with the reason where it cannot."""
    try:
        vaults = await (await ports()).catalog.vaults()
    except VaultlineError as error:
        return _answer(503, {"status": "unavailable", "code": error.code, "message": str(error)})
    return _answer(200, {"status": "ok", "vaults": len(vaults)})


def _answer(status: int, body: dict[str, object]) -> func.HttpResponse:
    return func.HttpResponse(json.dumps(body), status_code=status, mimetype="application/json")
