"""Settings, read from the environment once. Nothing else reads it.

| setting | meaning |
|---|---|
| `VAULTLINE_STATE` | Table storage of the ledger: a connection string, or `https://ACCOUNT.table.core.windows.net` for the app's identity |
| `VAULTLINE_ACCOUNTS` | JSON object: every storage account that may be read or written, by name: a connection string, or `https://ACCOUNT.blob.core.windows.net` for the app's identity |
| `ServiceBusConnection` | connection string of the namespace (or the local broker) |
| `ServiceBusConnection__fullyQualifiedNamespace` | instead of it: the namespace's host, for the app's identity |
| `VAULTLINE_TELEMETRY` | `off`, `file:FOLDER`, `otlp` (endpoint by `OTEL_EXPORTER_OTLP_ENDPOINT`) or `azure-monitor` (by `APPLICATIONINSIGHTS_CONNECTION_STRING`) |
| `VAULTLINE_STALL_SECONDS`, `VAULTLINE_REST_SECONDS`, `VAULTLINE_COPY_CONCURRENCY`, `VAULTLINE_PART_SECONDS`, `VAULTLINE_CHECKPOINT_SECONDS`, `VAULTLINE_HOLDERS`, `VAULTLINE_SAMPLES`, `VAULTLINE_MAX_ATTEMPTS`, `VAULTLINE_STARTS_PER_TICK`, `VAULTLINE_START_INTERVAL_SECONDS`, `VAULTLINE_BLOB_REQUESTS_PER_SECOND`, `VAULTLINE_BLOB_BYTES_PER_SECOND`, `VAULTLINE_GAP_SHARE`, `VAULTLINE_LISTING_GAPS`, `VAULTLINE_VAULT_LOOK_SECONDS`, `VAULTLINE_VAULT_WAIT_SECONDS`, `VAULTLINE_VAULT_MIRROR_SECONDS` | see `shared.model.pace` |
| `VAULTLINE_SOFT_DELETE_DAYS` | how long a deleted item can be had back |
| `VAULTLINE_SUBSCRIPTIONS` | comma-separated ids of the subscriptions whose managed disks may be protected and restored to; none if empty |
| `VAULTLINE_ARM` | Resource Manager's address, where it is not Azure's public one |
| `VAULTLINE_SNAPSHOT_GROUP` | the resource group for snapshots, where they are not to be beside their disks |
| `VAULTLINE_RESTORE_GROUPS` | comma-separated names of the resource groups that restores may make disks in |
| `VAULTLINE_RESTORE_SKU` | what restored disks are; if empty, what the disk was that was backed up |
| `VAULTLINE_STAGING_ACCOUNT` | the id of the storage account that restores from Recovery Services vaults pass through, unless the restore names one |
| `VAULTLINE_GRANT_LINGER_SECONDS` | how long leave to read a snapshot that was asked for hours is kept for the next who needs it |
| `VAULTLINE_LEAST_POINTS`, `VAULTLINE_MOST_REMOVALS_A_DAY`, `VAULTLINE_QUIET_DAYS` | see `shared.model.expiry` |
"""  # noqa: E501

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Annotated, TypeVar

from pydantic import Json, TypeAdapter, ValidationError

from shared.codec import explain
from shared.model.cloud import AZURE, Cloud, groups_of, subscriptions_of
from shared.model.errors import Invalid
from shared.model.expiry import Guard
from shared.model.pace import Pace


@dataclass(frozen=True, kw_only=True, repr=False)
class Settings:
    """Holds keys: never printed (`repr` is off), never logged."""

    state: str
    accounts: dict[str, str]
    service_bus: str
    service_bus_namespace: str
    telemetry: str
    pace: Pace
    guard: Guard
    cloud: Cloud = field(default_factory=Cloud)


Tuning = TypeVar("Tuning", Pace, Guard)

_ACCOUNTS: TypeAdapter[dict[str, str]] = TypeAdapter(Annotated[dict[str, str], Json])


def read_settings(environment: Mapping[str, str] | None = None) -> Settings:
    """The settings of this process. Raises `Invalid` naming the setting that is missing or wrong,
    never its value."""
    env = os.environ if environment is None else environment
    bus, namespace = (
        env.get(name, "")
        for name in ("ServiceBusConnection", "ServiceBusConnection__fullyQualifiedNamespace")
    )
    if not (bus or namespace):
        raise Invalid("setting ServiceBusConnection is missing", action=_ACTION)
    return Settings(
        state=_required(env, "VAULTLINE_STATE"),
        accounts=_accounts(_required(env, "VAULTLINE_ACCOUNTS")),
        service_bus=bus,
        service_bus_namespace=namespace,
        telemetry=env.get("VAULTLINE_TELEMETRY", "off"),
        pace=_tuned(env, Pace),
        guard=_tuned(env, Guard),
        cloud=_cloud(env),
    )


_ACTION = (
    "On a laptop: `vaultline local up`, then run commands in the same folder. "
    "In Azure: see local.settings.sample.json."
)


def _required(env: Mapping[str, str], name: str) -> str:
    if not env.get(name):
        raise Invalid(f"setting {name} is missing", action=_ACTION)
    return env[name]


def _accounts(text: str) -> dict[str, str]:
    try:
        return _ACCOUNTS.validate_python(text)
    except ValidationError as error:
        raise Invalid(f"setting VAULTLINE_ACCOUNTS: {explain(error)}", action=_ACTION) from None


def _cloud(env: Mapping[str, str]) -> Cloud:
    try:
        subscriptions = subscriptions_of(env.get("VAULTLINE_SUBSCRIPTIONS", ""))
    except Invalid as error:
        raise Invalid(f"setting VAULTLINE_SUBSCRIPTIONS: {error}", action=_ACTION) from None
    return Cloud(
        endpoint=env.get("VAULTLINE_ARM") or AZURE,
        subscriptions=subscriptions,
        snapshot_group=env.get("VAULTLINE_SNAPSHOT_GROUP", ""),
        restore_groups=groups_of(env.get("VAULTLINE_RESTORE_GROUPS", "")),
        restore_sku=env.get("VAULTLINE_RESTORE_SKU") or Cloud.restore_sku,
        staging_account=env.get("VAULTLINE_STAGING_ACCOUNT", "").lower(),
        grant_linger_seconds=_seconds(env, "VAULTLINE_GRANT_LINGER_SECONDS"),
    )


def _seconds(env: Mapping[str, str], name: str) -> float:
    text = env.get(name) or str(Cloud.grant_linger_seconds)
    if not text.replace(".", "", 1).isdecimal():
        raise Invalid(f"setting {name}: a number of seconds is expected", action=_ACTION)
    return float(text)


def _tuned(env: Mapping[str, str], kind: type[Tuning]) -> Tuning:
    """A value each of whose fields is the setting `VAULTLINE_<NAME>`, or its default."""
    given = {
        field.name: env[f"VAULTLINE_{field.name.upper()}"]
        for field in fields(kind)
        if env.get(f"VAULTLINE_{field.name.upper()}")
    }
    try:
        return TypeAdapter(kind).validate_python(given)
    except ValidationError as error:
        raise Invalid(f"VAULTLINE_… settings: {explain(error)}", action=_ACTION) from None
