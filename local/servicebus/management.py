"""Request and response nodes: ``$management`` of an entity, and ``$cbs``."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TypeVar
from uuid import UUID

from local.servicebus.codec import DecodeError, decode, encode
from local.servicebus.deliveries import (
    Abandon,
    Complete,
    DeadLetter,
    Defer,
    Delivery,
    Settlement,
)
from local.servicebus.errors import (
    ArgumentError,
    MalformedError,
    MessageTooLargeError,
    NotAllowedError,
    NotSupportedError,
    ServiceBusError,
)
from local.servicebus.limits import MAX_MESSAGE_BYTES
from local.servicebus.message import (
    APPLICATION_PROPERTIES,
    PROPERTIES,
    VALUE,
    Message,
    parse_message,
    render,
    sections,
)
from local.servicebus.queue import Queue
from local.servicebus.shelf import Shelf
from local.servicebus.values import Array, Int, Symbol, Timestamp

Body = dict[object, object]
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Request:
    """``message_id`` keeps its wire type: the reply's correlation-id must equal it."""

    operation: str
    message_id: object
    body: object


@dataclass(frozen=True, slots=True)
class Reply:
    status: int
    description: str = "OK"
    condition: str | None = None
    body: Body = field(default_factory=dict)


def parse_request(payload: bytes) -> Request:
    """DecodeError when it is not an AMQP message with the sections of a request."""
    found = {s.code: decode(payload, s.value)[0] for s in sections(payload)}
    properties, application = found.get(PROPERTIES), found.get(APPLICATION_PROPERTIES)
    if not isinstance(properties, list) or not isinstance(application, dict) or not properties:
        raise DecodeError("a request needs properties and application properties")
    return Request(str(application.get("operation")), properties[0], found.get(VALUE))


def encode_reply(request: Request, reply: Reply, *, cbs: bool) -> bytes:
    """The reply message. ``$cbs`` spells its status properties its own way."""
    code, description = (
        ("status-code", "status-description") if cbs else ("statusCode", "statusDescription")
    )
    application: Body = {code: Int(reply.status), description: reply.description}
    if reply.condition is not None:
        application["errorCondition"] = Symbol(reply.condition)
    parts: tuple[tuple[int, object], ...] = (
        (PROPERTIES, [None, None, None, None, None, request.message_id]),
        (APPLICATION_PROPERTIES, application),
        (VALUE, reply.body),
    )
    return b"".join(bytes((0x00, 0x53, section)) + encode(value) for section, value in parts)


def answer_cbs(request: Request) -> Reply:
    """Any token will do on loopback."""
    if request.operation != "put-token":
        return Reply(400, f"$cbs does not know '{request.operation}'.", "amqp:not-allowed")
    return Reply(202, "Accepted")


def answer(queue: Queue, shelf: Shelf, request: Request) -> Reply:
    """Carry out a management request; every refusal is a reply, too."""
    try:
        operation = _OPERATIONS.get(request.operation)
        if operation is None:
            raise NotSupportedError(
                f"The local Service Bus does not support '{request.operation}'."
            )
        if not isinstance(request.body, dict):
            raise ArgumentError("The request body must be a map.")
        return operation(queue, shelf, request.body)
    except ServiceBusError as error:
        return Reply(error.status, error.description, error.condition)


def _peek(queue: Queue, shelf: Shelf, body: Body) -> Reply:
    first = _integer(body, "from-sequence-number")
    found = queue.peek(shelf, first, _integer(body, "message-count"))
    entries = _within_size([{"message": render(d.message, d.stamp)} for d in found])
    if not entries:
        return Reply(204, "No messages to peek.", "com.microsoft:message-not-found")
    return Reply(200, body={"messages": entries})


def _within_size(entries: list[Body]) -> list[object]:
    """As many entries as fit into one reply, at least one."""
    kept: list[object] = []
    size = 0
    for entry in entries:
        message = entry["message"]
        size += len(message) if isinstance(message, bytes) else 0
        if kept and size > MAX_MESSAGE_BYTES:
            break
        kept.append(entry)
    return kept


def _receive_deferred(queue: Queue, shelf: Shelf, body: Body) -> Reply:
    lock = _integer(body, "receiver-settle-mode") != 0
    numbers = _items(body, "sequence-numbers", int)
    found = queue.receive_deferred(shelf, numbers, lock=lock)
    return Reply(200, body={"messages": [_deferred_entry(delivery) for delivery in found]})


def _deferred_entry(delivery: Delivery) -> object:
    entry: Body = {"message": render(delivery.message, delivery.stamp)}
    if delivery.token is not None:
        entry["lock-token"] = delivery.token
    return entry


def _renew_lock(queue: Queue, shelf: Shelf, body: Body) -> Reply:
    ends = queue.renew(shelf, _items(body, "lock-tokens", UUID))
    return Reply(200, body={"expirations": Array(Timestamp, tuple(map(Timestamp, ends)))})


def _update_disposition(queue: Queue, shelf: Shelf, body: Body) -> Reply:
    if body.get("properties-to-modify"):
        raise NotSupportedError("Modifying properties on settlement is not supported locally.")
    settlement = _settlement(body)
    for token in _items(body, "lock-tokens", UUID):
        queue.settle(shelf, token, settlement)
    return Reply(200)


def _settlement(body: Body) -> Settlement:
    match body.get("disposition-status"):
        case "completed":
            return Complete()
        case "abandoned":
            return Abandon()
        case "defered":  # spelt so by the protocol
            return Defer()
        case "suspended":
            return DeadLetter(
                text_or_none(body.get("deadletter-reason")),
                text_or_none(body.get("deadletter-description")),
            )
        case other:
            raise ArgumentError(f"Unknown disposition status '{other}'.")


def _schedule(queue: Queue, shelf: Shelf, body: Body) -> Reply:
    if shelf is queue.dead:
        raise NotAllowedError("Messages cannot be sent to a dead-letter queue.")
    numbers = queue.schedule(_scheduled_messages(body.get("messages")))
    return Reply(200, body={"sequence-numbers": Array(int, tuple(numbers))})


def _scheduled_messages(entries: object) -> list[Message]:
    if not isinstance(entries, list):
        raise ArgumentError("'messages' must be a list.")
    return [_scheduled_message(entry) for entry in entries]


def _scheduled_message(entry: object) -> Message:
    raw = entry.get("message") if isinstance(entry, dict) else None
    if not isinstance(raw, bytes):
        raise ArgumentError("Each entry of 'messages' must carry an encoded message.")
    if len(raw) > MAX_MESSAGE_BYTES:
        raise MessageTooLargeError(0, len(raw), MAX_MESSAGE_BYTES)
    try:
        return parse_message(raw)
    except DecodeError as error:
        raise MalformedError(str(error)) from error


def _cancel(queue: Queue, _shelf: Shelf, body: Body) -> Reply:
    queue.cancel(_items(body, "sequence-numbers", int))
    return Reply(200)


def _no_sessions(_queue: Queue, _shelf: Shelf, _body: Body) -> Reply:
    raise NotAllowedError(
        "The entity does not have sessions enabled; none of the local queues has."
    )


_OPERATIONS: dict[str, Callable[[Queue, Shelf, Body], Reply]] = {
    "com.microsoft:peek-message": _peek,
    "com.microsoft:receive-by-sequence-number": _receive_deferred,
    "com.microsoft:renew-lock": _renew_lock,
    "com.microsoft:update-disposition": _update_disposition,
    "com.microsoft:schedule-message": _schedule,
    "com.microsoft:cancel-scheduled-message": _cancel,
    "com.microsoft:renew-session-lock": _no_sessions,
    "com.microsoft:get-session-state": _no_sessions,
    "com.microsoft:set-session-state": _no_sessions,
    "com.microsoft:get-message-sessions": _no_sessions,
}


def text_or_none(value: object) -> str | None:
    return value if isinstance(value, str) else None


def _integer(body: Body, name: str) -> int:
    value = body.get(name)
    if not isinstance(value, int):
        raise ArgumentError(f"'{name}' must be a number.")
    return int(value)


def _items(body: Body, name: str, of: type[T]) -> Sequence[T]:
    value = body.get(name)
    found = value.items if isinstance(value, Array) else value
    if not isinstance(found, list | tuple):
        raise ArgumentError(f"'{name}' must be an array.")
    items = [item for item in found if isinstance(item, of)]
    if len(items) != len(found):
        raise ArgumentError(f"'{name}' holds a value of a wrong type.")
    return items
