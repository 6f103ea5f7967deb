"""From a queue's message to its step, and what becomes of a message that nobody can serve.

A message that can never be served is dead-lettered with a reason that a person understands
(invariant 12); one that cannot be served now raises, goes back to its queue, and comes again. Where
the service said when to ask again, the message is sent anew for that time.
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any, assert_never

from shared import telemetry
from shared.codec import from_json
from shared.contracts.commands import parse_command
from shared.decide.postponing import postponed
from shared.model.errors import VaultlineError
from shared.model.messages import (
    COMMANDS,
    COPY,
    RETENTION,
    SNAPSHOT,
    TRANSFER,
    VAULTS,
    CopyPart,
    ExpirePoints,
    FollowVault,
    TakeSnapshot,
    TransferStep,
)
from shared.ports import Ports
from shared.steps.commands import obey
from shared.steps.commit import commit_transfer
from shared.steps.copy import copy_part
from shared.steps.fan_out import fan_out
from shared.steps.mirroring.follow import follow_vault
from shared.steps.plan import plan_transfer
from shared.steps.retention import expire_points
from shared.steps.snapshot import take_snapshot


@dataclass(frozen=True, kw_only=True)
class Delivery:
    """A message as its function received it."""

    queue: str
    message_id: str
    lock_token: str
    body: bytes
    traceparent: str = ""


async def dispatch(ports: Ports, delivery: Delivery) -> Any:
    """The step's result; None for a message that was put off or dead-lettered. Raises what a
    later delivery may not meet again."""
    serve = _SERVE[delivery.queue]
    with telemetry.span(f"{delivery.queue} receive", delivery.traceparent):
        try:
            return await serve(ports, delivery)
        except VaultlineError as error:
            if await _put_off(ports, delivery, error):
                return None
            if error.transient:
                raise
            telemetry.note(dead_lettered=error.code)
            reason = f"{error} {error.action}"
            await ports.bus.dead_letter(delivery.queue, delivery.lock_token, error.code, reason)
            return None


async def _put_off(ports: Ports, delivery: Delivery, error: VaultlineError) -> bool:
    """Whether the message comes again by itself when it may be served (faults 46, 47 and 49): no
    delivery is used up, and nobody waits in a function. A death in between delivers it again."""
    later = postponed(
        delivery.queue,
        delivery.message_id,
        delivery.body,
        telemetry.traceparent(),
        error,
        ports.clock.now(),
    )
    if later is None:
        return False
    telemetry.note(put_off=error.code)
    await ports.bus.send([later])
    return True


async def _command(ports: Ports, delivery: Delivery) -> Any:
    return await obey(ports, parse_command(delivery.body, delivery.message_id))


async def _snapshot(ports: Ports, delivery: Delivery) -> Any:
    return await take_snapshot(ports, from_json(TakeSnapshot, delivery.body))


async def _transfer(ports: Ports, delivery: Delivery) -> Any:
    request = from_json(TransferStep, delivery.body)
    match request.step:
        case "plan":
            return await plan_transfer(ports, request)
        case "fan-out":
            return await fan_out(ports, request)
        case "commit":
            return await commit_transfer(ports, request)
        case never:
            assert_never(never)


async def _copy(ports: Ports, delivery: Delivery) -> Any:
    return await copy_part(ports, from_json(CopyPart, delivery.body))


async def _retention(ports: Ports, delivery: Delivery) -> Any:
    return await expire_points(ports, from_json(ExpirePoints, delivery.body))


async def _vault(ports: Ports, delivery: Delivery) -> Any:
    return await follow_vault(ports, from_json(FollowVault, delivery.body))


_SERVE: dict[str, Callable[[Ports, Delivery], Awaitable[Any]]] = {
    COMMANDS: _command,
    SNAPSHOT: _snapshot,
    TRANSFER: _transfer,
    COPY: _copy,
    RETENTION: _retention,
    VAULTS: _vault,
}
