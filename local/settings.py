"""The app's settings on the laptop: for our functions host and for `func start`."""

import json
from collections.abc import Mapping
from pathlib import Path

from local.errors import SettingsExist
from local.ports import Ports
from local.storage.azurite import HOST, SOURCE, STATE, VAULT, connection_string


def service_bus_connection(ports: Ports) -> str:
    """The connection string that Azure's SDKs take for a Service Bus emulator."""
    return (
        f"Endpoint=sb://{HOST}:{ports.service_bus};SharedAccessKeyName=local;"
        "SharedAccessKey=local;UseDevelopmentEmulator=true"
    )


def app_settings(ports: Ports, data_dir: Path, overrides: Mapping[str, str]) -> dict[str, str]:
    """Everything the app reads; `overrides` win."""
    state = connection_string(STATE, ports.storage)
    accounts = {each.name: connection_string(each, ports.storage) for each in (SOURCE, VAULT)}
    return {
        "AzureWebJobsStorage": state,
        "FUNCTIONS_WORKER_RUNTIME": "python",
        "ServiceBusConnection": service_bus_connection(ports),
        "VAULTLINE_STATE": state,
        "VAULTLINE_ACCOUNTS": json.dumps(accounts),
        "VAULTLINE_TASK_HUB": "vaultline",
        "VAULTLINE_TICK_SCHEDULE": "0 * * * * *",
        "VAULTLINE_RECONCILE_SCHEDULE": "*/15 * * * * *",
        "VAULTLINE_TELEMETRY": f"file:{data_dir / 'telemetry'}",
        **overrides,
    }


def write_core_tools_settings(path: Path, values: Mapping[str, str], *, force: bool) -> None:
    """Writes `local.settings.json` as Azure Functions Core Tools read it.

    Raises SettingsExist where the file is there and `force` is not given.
    """
    if path.exists() and not force:
        raise SettingsExist(str(path))
    path.write_text(json.dumps({"IsEncrypted": False, "Values": dict(values)}, indent=2) + "\n")
