"""Which link an attach asks for, and how it is answered."""

from dataclasses import replace

from local.servicebus.addresses import CbsAddress, parse_address
from local.servicebus.errors import ArgumentError, NotAllowedError, NotSupportedError
from local.servicebus.limits import MAX_MESSAGE_BYTES
from local.servicebus.links import (
    Channel,
    ConsumerLink,
    Link,
    ProducerLink,
    ReplyLink,
    RequestLink,
)
from local.servicebus.namespace import Namespace
from local.servicebus.performatives import RECEIVER, SETTLED_BY_SENDER, Attach
from local.servicebus.queue import Queue
from local.servicebus.shelf import Shelf
from local.servicebus.values import Described, Symbol, ULong

_COORDINATOR = {0x30, "amqp:coordinator:list"}
_ADDRESS_FIELD = 0
_FILTER_FIELD = 7

Place = tuple[Queue, Shelf]


def open_link(channel: Channel, namespace: Namespace, attach: Attach) -> Link:
    """The link for an attach; a ServiceBusError when there can be none."""
    receives = attach.role is RECEIVER
    node = _address_of(attach.source if receives else attach.target)
    address = parse_address(node)
    if isinstance(address, CbsAddress):
        return _request_or_reply(channel, attach, "$cbs", None)
    place = namespace.shelf(address)
    if address.management:
        return _request_or_reply(channel, attach, node.lower(), place)
    if receives:
        _refuse_filters(attach.source)
        locks = attach.snd_settle_mode != SETTLED_BY_SENDER
        return ConsumerLink(channel, attach.handle, namespace, place, locks=locks)
    if address.dead_letters:
        raise NotAllowedError("Messages cannot be sent to a dead-letter queue.")
    return ProducerLink(channel, attach.handle, namespace, place[0])


def echo_of(attach: Attach, *, sends_messages: bool) -> Attach:
    """The answer to an attach that is granted."""
    properties: dict[object, object] = {}
    if sends_messages:
        properties[Symbol("com.microsoft:max-message-batch-size")] = ULong(MAX_MESSAGE_BYTES)
    return replace(
        attach,
        role=not attach.role,
        unsettled=None,
        incomplete_unsettled=False,
        initial_delivery_count=0 if attach.role is RECEIVER else None,
        max_message_size=MAX_MESSAGE_BYTES,
        offered_capabilities=None,
        desired_capabilities=None,
        properties=properties,
    )


def refusal_of(attach: Attach) -> Attach:
    """The answer that precedes the detach of a refused link: our terminus is null.

    With both termini set, the client would report the link as open first.
    """
    echo = echo_of(attach, sends_messages=False)
    if attach.role is RECEIVER:
        return replace(echo, source=None)
    return replace(echo, target=None)


def _request_or_reply(channel: Channel, attach: Attach, node: str, place: Place | None) -> Link:
    if attach.role is RECEIVER:
        return ReplyLink(channel, attach.handle, node)
    return RequestLink(channel, attach.handle, node, place)


def _address_of(terminus: object) -> str:
    if not isinstance(terminus, Described) or not isinstance(terminus.value, list):
        raise ArgumentError("The link has no address.")
    if terminus.descriptor in _COORDINATOR:
        raise NotSupportedError("Transactions are not supported by the local Service Bus.")
    address = terminus.value[_ADDRESS_FIELD] if terminus.value else None
    if not isinstance(address, str):
        raise ArgumentError("The link has no address.")
    return address


def _refuse_filters(source: object) -> None:
    assert isinstance(source, Described)
    assert isinstance(source.value, list)
    filters = source.value[_FILTER_FIELD] if len(source.value) > _FILTER_FIELD else None
    if not filters:
        return
    if isinstance(filters, dict) and "com.microsoft:session-filter" in filters:
        raise NotAllowedError(
            "A session receiver needs an entity with sessions; none of the local queues has them."
        )
    raise NotSupportedError("Filters are not supported by the local Service Bus.")
