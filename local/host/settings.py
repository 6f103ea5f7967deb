"""App settings and host.json, as the Functions host reads them.

Settings are the process environment, looked up without regard to case. ``%NAME%`` inside a
binding is replaced by the setting of that name.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path
from typing import Any

_PLACEHOLDER = re.compile(r"%([^%\s]+)%")
_TIMESPAN = re.compile(
    r"^(?:(?P<days>\d+)\.)?(?P<hours>\d{1,2}):(?P<minutes>\d{2})(?::(?P<seconds>\d{2}(?:\.\d+)?))?$"
)
_HUB_NAME = re.compile(r"^[A-Za-z][A-Za-z0-9]{2,44}$")


class SettingsError(Exception):
    """A setting or a host.json value is missing or unusable; the message names it."""


class AppSettings(Mapping[str, str]):
    """Name → value, found whatever the case of the name."""

    def __init__(self, values: Mapping[str, str]) -> None:
        self._values = {name.casefold(): value for name, value in values.items()}

    def __getitem__(self, name: str) -> str:
        return self._values[name.casefold()]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def expand(self, text: str) -> str:
        """Replace each ``%NAME%``; raises SettingsError naming the first missing setting."""
        return _PLACEHOLDER.sub(lambda match: self._required(match[1], text), text)

    def connection(self, name: str) -> str:
        """The connection string a binding's ``connection`` refers to.

        The host looks for the name itself, then for it with the ``AzureWebJobs`` prefix.
        """
        for candidate in (name, f"AzureWebJobs{name}", f"ConnectionStrings:{name}"):
            if value := self.get(candidate):
                return value
        if any(key.startswith(f"{name.casefold()}__") for key in self._values):
            raise SettingsError(
                f"connection '{name}' is identity-based ('{name}__…'); "
                "the local host needs a connection string"
            )
        raise SettingsError(f"setting '{name}' (a connection string) does not exist")

    def is_disabled(self, function_name: str) -> bool:
        """Whether ``AzureWebJobs.<name>.Disabled`` switches the function off."""
        return self.get(f"AzureWebJobs.{function_name}.Disabled", "").casefold() in ("true", "1")

    def _required(self, name: str, text: str) -> str:
        try:
            return self[name]
        except KeyError:
            raise SettingsError(f"setting '{name}', needed by '{text}', does not exist") from None


@dataclass(frozen=True)
class ServiceBusOptions:
    """``extensions.serviceBus``; the defaults are the extension's."""

    max_concurrent_calls: int
    auto_complete: bool = True
    max_auto_lock_renewal: timedelta = timedelta(minutes=5)
    prefetch_count: int = 0


@dataclass(frozen=True)
class DurableOptions:
    """``extensions.durableTask``; the defaults are the extension's."""

    max_concurrent_activities: int
    max_concurrent_orchestrators: int
    hub_name: str = "TestHubName"


@dataclass(frozen=True)
class HostJson:
    """What the host takes from host.json."""

    service_bus: ServiceBusOptions
    durable: DurableOptions
    route_prefix: str = "api"
    log_levels: Mapping[str, str] = field(default_factory=dict)


def read_host_json(path: Path, settings: AppSettings, cores: int) -> HostJson:
    """Read host.json; ``cores`` scales the default concurrency as in Azure."""
    try:
        document = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise SettingsError(f"{path.name} not found in {path.parent}") from None
    except ValueError as error:
        raise SettingsError(f"{path.name} is not valid JSON: {error}") from None
    if not isinstance(document, dict) or document.get("version") != "2.0":
        raise SettingsError(f'{path.name} must have "version": "2.0"')
    return HostJson(
        service_bus=_service_bus_options(document, cores),
        durable=_durable_options(document, settings, cores),
        route_prefix=str(_section(document, "extensions", "http").get("routePrefix", "api")).strip(
            "/"
        ),
        log_levels=_section(document, "logging", "logLevel"),
    )


def parse_timespan(text: str) -> timedelta:
    """Read a .NET TimeSpan such as ``00:05:00`` or ``1.02:00:00``."""
    match = _TIMESPAN.match(text.strip())
    if not match:
        raise SettingsError(f"'{text}' is not a time span (hh:mm:ss)")
    parts = {name: float(value or 0) for name, value in match.groupdict().items()}
    return timedelta(**parts)


def _section(document: Mapping[str, Any], *path: str) -> Mapping[str, Any]:
    """The object at ``path``, names compared without case; empty when absent."""
    current: Mapping[str, Any] = document
    for name in path:
        found = {key.casefold(): value for key, value in current.items()}.get(name.casefold())
        if found is None:
            return {}
        if not isinstance(found, dict):
            raise SettingsError(f"host.json: '{'.'.join(path)}' must be an object")
        current = found
    return current


def _service_bus_options(document: Mapping[str, Any], cores: int) -> ServiceBusOptions:
    section = _section(document, "extensions", "serviceBus")
    renewal = parse_timespan(str(section.get("maxAutoLockRenewalDuration", "00:05:00")))
    return ServiceBusOptions(
        max_concurrent_calls=_count(section, "maxConcurrentCalls", 16 * cores, least=1),
        auto_complete=_flag(section, "autoCompleteMessages", default=True),
        max_auto_lock_renewal=renewal,
        prefetch_count=_count(section, "prefetchCount", 0, least=0),
    )


def _durable_options(
    document: Mapping[str, Any], settings: AppSettings, cores: int
) -> DurableOptions:
    section = _section(document, "extensions", "durableTask")
    hub_name = settings.expand(str(section.get("hubName", DurableOptions.hub_name)))
    if not _HUB_NAME.match(hub_name):
        raise SettingsError(
            f"host.json: task hub name '{hub_name}' must be 3 to 45 letters and digits, "
            "the first a letter"
        )
    return DurableOptions(
        max_concurrent_activities=_count(
            section, "maxConcurrentActivityFunctions", 10 * cores, least=1
        ),
        max_concurrent_orchestrators=_count(
            section, "maxConcurrentOrchestratorFunctions", 10 * cores, least=1
        ),
        hub_name=hub_name,
    )


def _count(section: Mapping[str, Any], name: str, default: int, *, least: int) -> int:
    value = section.get(name, default)
    if isinstance(value, bool) or not isinstance(value, int) or value < least:
        raise SettingsError(f"host.json: '{name}' must be a whole number of at least {least}")
    return value


def _flag(section: Mapping[str, Any], name: str, *, default: bool) -> bool:
    value = section.get(name, default)
    if not isinstance(value, bool):
        raise SettingsError(f"host.json: '{name}' must be true or false")
    return value
