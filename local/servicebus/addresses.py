"""Entity addresses: ``queue``, ``queue/$DeadLetterQueue``, either with ``/$management``, ``$cbs``.

They arrive bare or as ``amqps://host:port/queue``; case does not matter.
"""

from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from local.servicebus.errors import NotSupportedError


@dataclass(frozen=True, slots=True)
class EntityAddress:
    queue: str
    dead_letters: bool = False
    management: bool = False


@dataclass(frozen=True, slots=True)
class CbsAddress:
    """The node that takes security tokens."""


Address = EntityAddress | CbsAddress


def parse_address(text: str) -> Address:
    """NotSupportedError for subscriptions and other paths that local queues cannot have."""
    path = unquote(urlsplit(text).path) if "://" in text else text
    parts = [part for part in path.split("/") if part]
    folded = [part.lower() for part in parts]
    if folded == ["$cbs"]:
        return CbsAddress()
    management = folded[-1:] == ["$management"]
    if management:
        folded.pop()
    if "subscriptions" in folded[1:]:
        raise NotSupportedError(f"Topics and subscriptions are not supported locally: '{path}'.")
    if "$transfer" in folded:
        raise NotSupportedError("Transfer dead-letter queues are not supported locally.")
    dead_letters = folded[-1:] == ["$deadletterqueue"]
    if dead_letters:
        folded.pop()
    return EntityAddress("/".join(folded), dead_letters, management)
