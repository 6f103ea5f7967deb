"""The declaration that infra and the local Service Bus share."""

from pathlib import Path
from typing import Any

import pytest

from local.servicebus.addresses import CbsAddress, EntityAddress, parse_address
from local.servicebus.entities import EntityError, load_entities, milliseconds, parse_entities
from local.servicebus.errors import NotSupportedError

DECLARED = Path(__file__).parents[2] / "infra" / "entities.json"


def test_the_projects_own_declaration_is_understood() -> None:
    specs = load_entities(DECLARED)
    assert {"commands", "snapshot", "transfer-to-vault"} <= {spec.name for spec in specs}


def test_a_queue_overrides_defaults_and_these_override_arms() -> None:
    declaration: dict[str, Any] = {
        "defaults": {"lockDuration": "PT30S", "maxDeliveryCount": 5},
        "queues": [{"name": "a", "maxDeliveryCount": 7}],
    }
    (spec,) = parse_entities(declaration)
    assert (spec.lock_ms, spec.max_delivery_count, spec.dedup_window_ms) == (30_000, 7, None)


@pytest.mark.parametrize(
    ("text", "expected"),
    [("PT1M", 60_000), ("P14D", 1_209_600_000), ("P1DT2H3M4.5S", 93_784_500), ("PT0S", 0)],
)
def test_durations(text: str, expected: int) -> None:
    assert milliseconds(text) == expected


@pytest.mark.parametrize("text", ["", "P", "PT", "1M", "P1Y", "PT5"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(EntityError):
        milliseconds(text)


@pytest.mark.parametrize(
    "declaration",
    [
        {"topics": [{"name": "t"}]},
        {"queues": [{"name": "a", "requiresSession": True}]},
        {"queues": [{}]},
        {"queues": [{"name": "a"}, {"name": "A"}]},
    ],
)
def test_what_is_not_supported_is_said(declaration: dict[str, Any]) -> None:
    with pytest.raises(EntityError):
        parse_entities(declaration)


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("amqps://127.0.0.1:5672/Snapshot", EntityAddress("snapshot")),
        ("a/$deadletterqueue", EntityAddress("a", dead_letters=True)),
        ("a/$DeadLetterQueue/$management", EntityAddress("a", True, True)),
        ("a/b/$Management", EntityAddress("a/b", management=True)),
        ("$cbs", CbsAddress()),
    ],
)
def test_addresses(text: str, address: object) -> None:
    assert parse_address(text) == address


@pytest.mark.parametrize("text", ["t/Subscriptions/s", "q/$Transfer/$DeadLetterQueue"])
def test_addresses_that_local_queues_cannot_have(text: str) -> None:
    with pytest.raises(NotSupportedError):
        parse_address(text)
