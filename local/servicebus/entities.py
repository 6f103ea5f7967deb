"""The declared queues: one file for ``infra/`` and for this broker (``infra/entities.json``)."""

import json
import re
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

_DURATION = re.compile(
    r"P(?:(?P<days>\d+)D)?"
    r"(?:T(?=\d)(?:(?P<hours>\d+)H)?(?:(?P<minutes>\d+)M)?(?:(?P<seconds>\d+(?:\.\d+)?)S)?)?"
)

# What ARM assumes for a queue that does not say (Microsoft.ServiceBus/namespaces/queues).
_ARM_DEFAULTS: dict[str, Any] = {
    "lockDuration": "PT1M",
    "maxDeliveryCount": 10,
    "defaultMessageTimeToLive": "P10675199DT2H48M5.4775807S",
    "requiresDuplicateDetection": False,
    "duplicateDetectionHistoryTimeWindow": "PT10M",
    "deadLetteringOnMessageExpiration": False,
}


class EntityError(ValueError):
    """The declaration asks for something that is not valid or not supported here."""


@dataclass(frozen=True, slots=True)
class QueueSpec:
    """One queue. Durations are whole milliseconds."""

    name: str
    lock_ms: int
    max_delivery_count: int
    ttl_ms: int
    dedup_window_ms: int | None
    dead_letter_expired: bool


def load_entities(path: Path) -> tuple[QueueSpec, ...]:
    """The queues declared in a JSON file; EntityError names what is wrong with it."""
    return parse_entities(json.loads(path.read_text(encoding="utf-8")))


def parse_entities(declaration: dict[str, Any]) -> tuple[QueueSpec, ...]:
    """``defaults`` fill what a queue leaves out; ARM's own defaults fill the rest."""
    if declaration.get("topics"):
        raise EntityError("topics are not supported by the local Service Bus")
    defaults = _ARM_DEFAULTS | declaration.get("defaults", {})
    specs = tuple(_parse_queue(defaults | queue) for queue in declaration.get("queues", []))
    names = [spec.name.lower() for spec in specs]
    if len(set(names)) != len(names):
        raise EntityError("two queues have the same name (case does not distinguish them)")
    return specs


def _parse_queue(settings: dict[str, Any]) -> QueueSpec:
    unknown = settings.keys() - _ARM_DEFAULTS.keys() - {"name"}
    if unknown:
        raise EntityError(f"queue settings not supported locally: {', '.join(sorted(unknown))}")
    if not settings.get("name"):
        raise EntityError("a queue has no name")
    window = milliseconds(settings["duplicateDetectionHistoryTimeWindow"])
    return QueueSpec(
        name=settings["name"],
        lock_ms=milliseconds(settings["lockDuration"]),
        max_delivery_count=int(settings["maxDeliveryCount"]),
        ttl_ms=milliseconds(settings["defaultMessageTimeToLive"]),
        dedup_window_ms=window if settings["requiresDuplicateDetection"] else None,
        dead_letter_expired=bool(settings["deadLetteringOnMessageExpiration"]),
    )


def milliseconds(duration: str) -> int:
    """An ISO-8601 duration as ARM writes it (days and smaller) in milliseconds."""
    match = _DURATION.fullmatch(duration)
    if match is None or duration in ("P", "PT"):
        raise EntityError(f"not an ISO-8601 duration: {duration!r}")
    parts = {unit: float(amount) for unit, amount in match.groupdict(default="0").items()}
    return timedelta(**parts) // timedelta(milliseconds=1)
