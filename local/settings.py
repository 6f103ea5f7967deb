"""The app's settings on the laptop: for our functions host and for `func start`."""

import json
from collections.abc import Mapping
from pathlib import Path

from local.errors import SettingsExist
from local.ports import Ports
from local.storage.azurite import HOST, SOURCE, STATE, VAULT, connection_string

SUBSCRIPTION = "5afe0000-0000-4000-8000-000000000001"
"""The one that the laptop's app may use; its Resource Manager knows every other as well."""
RESTORE_GROUP = "restored"
"""The resource group that restores may make managed disks in."""


def service_bus_connection(ports: Ports) -> str:
    """The connection string that Azure's SDKs take for a Service Bus emulator."""
    return (
        f"Endpoint=sb://{HOST}:{ports.service_bus};SharedAccessKeyName=local;"
        "SharedAccessKey=local;UseDevelopmentEmulator=true"
    )


def arm_endpoint(ports: Ports) -> str:
    """The address of the laptop's Resource Manager."""
    return f"http://{HOST}:{ports.arm}"


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
        "VAULTLINE_ARM": arm_endpoint(ports),
        "VAULTLINE_SUBSCRIPTIONS": SUBSCRIPTION,
        "VAULTLINE_RESTORE_GROUPS": RESTORE_GROUP,
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
