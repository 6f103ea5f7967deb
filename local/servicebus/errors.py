"""Refusals in Service Bus's own words: AMQP condition, management status code, description."""


class ServiceBusError(Exception):
    """A request that the service answers with an error, on whatever link it came."""

    condition = "amqp:internal-error"
    status = 500

    @property
    def description(self) -> str:
        return str(self)


class LockLostError(ServiceBusError):
    condition = "com.microsoft:message-lock-lost"
    status = 410

    def __init__(self) -> None:
        super().__init__(
            "The lock supplied is invalid: it expired, or the message was already removed."
        )


class MessageNotFoundError(ServiceBusError):
    condition = "com.microsoft:message-not-found"
    status = 404


class EntityNotFoundError(ServiceBusError):
    condition = "amqp:not-found"
    status = 404

    def __init__(self, path: str) -> None:
        super().__init__(f"The messaging entity '{path}' could not be found.")


class NotAllowedError(ServiceBusError):
    condition = "amqp:not-allowed"
    status = 400


class NotSupportedError(ServiceBusError):
    """Service Bus can do it; this local one cannot."""

    condition = "amqp:not-implemented"
    status = 501


class ArgumentError(ServiceBusError):
    condition = "com.microsoft:argument-error"
    status = 400


class MessageTooLargeError(ServiceBusError):
    condition = "amqp:link:message-size-exceeded"
    status = 413

    def __init__(self, delivery_id: int, size: int, limit: int) -> None:
        super().__init__(
            f"The received message (delivery-id:{delivery_id}, size:{size} bytes) exceeds the "
            f"limit ({limit} bytes) currently allowed on the link."
        )


class MalformedError(ServiceBusError):
    condition = "amqp:decode-error"
    status = 400
