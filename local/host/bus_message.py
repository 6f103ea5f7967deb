"""From a received Service Bus message to what the extension's trigger hands to a function."""

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from azure.functions.meta import Datum
from azure.servicebus import ServiceBusReceivedMessage
from azure.servicebus.amqp import AmqpMessageBodyType

_TEXTS = {
    "MessageId": "message_id",
    "LockToken": "lock_token",
    "ContentType": "content_type",
    "CorrelationId": "correlation_id",
    "ReplyTo": "reply_to",
    "To": "to",
    "Subject": "subject",
    "Label": "subject",
    "SessionId": "session_id",
    "ReplyToSessionId": "reply_to_session_id",
    "PartitionKey": "partition_key",
    "DeadLetterSource": "dead_letter_source",
    "DeadLetterReason": "dead_letter_reason",
    "DeadLetterErrorDescription": "dead_letter_error_description",
}
# The SDK has no property for it.
_VIA_PARTITION_KEY = b"x-opt-via-partition-key"
_TIMES = {"EnqueuedTimeUtc": "enqueued_time_utc", "ExpiresAtUtc": "expires_at_utc"}


def body_of(message: ServiceBusReceivedMessage) -> bytes:
    """The body's bytes; a value body is its text, or JSON for what is not text."""
    if message.body_type is AmqpMessageBodyType.DATA:
        return b"".join(message.body)
    value = message.body if message.body_type is AmqpMessageBodyType.VALUE else list(message.body)
    if isinstance(value, bytes):
        return value
    text = value if isinstance(value, str) else json.dumps(value, default=_plain)
    return text.encode()


def trigger_datum(message: ServiceBusReceivedMessage, *, binary: bool) -> Datum:
    """The trigger's parameter: bytes with ``data_type`` BINARY, else text.

    As in the extension, bytes that are not UTF-8 lose what cannot be shown as text.
    """
    body = body_of(message)
    return Datum(body, "bytes") if binary else Datum(body.decode(errors="replace"), "string")


def trigger_metadata(message: ServiceBusReceivedMessage) -> dict[str, Datum]:
    """The keys that the extension sends; an absent value has no key.

    ``DeliveryCount`` counts this delivery (the SDK's does not). Times carry no zone suffix, so
    that the library decodes them as naive UTC, as it does in Azure.
    """
    properties = Datum(json.dumps(_properties(message)), "json")
    metadata = {
        "UserProperties": properties,
        "ApplicationProperties": properties,
        "DeliveryCount": Datum((message.delivery_count or 0) + 1, "int"),
        "SequenceNumber": Datum(message.sequence_number, "int"),
    }
    for key, attribute in _TEXTS.items():
        if (value := getattr(message, attribute)) is not None:
            metadata[key] = Datum(str(value), "string")
    if (via := (message.raw_amqp_message.annotations or {}).get(_VIA_PARTITION_KEY)) is not None:
        metadata["TransactionPartitionKey"] = Datum(_plain(via), "string")
    for key, attribute in _TIMES.items():
        if (moment := getattr(message, attribute)) is not None:
            metadata[key] = Datum(_naive_utc(moment), "string")
    return metadata


def trace_headers(message: ServiceBusReceivedMessage) -> tuple[str | None, str | None]:
    """``traceparent`` and ``tracestate`` that the sender left in the properties."""
    properties = _properties(message)
    parent = properties.get("Diagnostic-Id") or properties.get("traceparent")
    state = properties.get("tracestate")
    return (parent if isinstance(parent, str) else None), (
        state if isinstance(state, str) else None
    )


def _properties(message: ServiceBusReceivedMessage) -> dict[str, Any]:
    properties: Mapping[Any, Any] = message.application_properties or {}
    return {str(_plain(key)): _jsonable(value) for key, value in properties.items()}


def _jsonable(value: Any) -> Any:
    return value if isinstance(value, (str, int, float, bool, type(None))) else _plain(value)


def _plain(value: Any) -> str:
    if isinstance(value, bytes):
        return value.decode(errors="replace")
    return value.isoformat() if isinstance(value, datetime) else str(value)


def _naive_utc(moment: datetime) -> str:
    return moment.astimezone(UTC).replace(tzinfo=None).isoformat(timespec="microseconds")
