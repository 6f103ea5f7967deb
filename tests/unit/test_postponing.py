"""A message that cannot be served now comes when it may be."""

import json
from datetime import UTC, datetime, timedelta

import pytest

from shared.decide.postponing import TIMES, postponed
from shared.memory import memory_ports
from shared.memory.faults import Fault
from shared.model.deferral import Deferred
from shared.model.errors import Invalid, Transient, VaultlineError
from shared.model.messages import COMMANDS, SNAPSHOT, Outgoing
from shared.steps.dispatch import Delivery, dispatch

NOW = datetime(2026, 11, 21, 2, tzinfo=UTC)
LATER = Deferred("not yet", retry_after=300)


def put_off(
    message_id: str = "m-1", queue: str = SNAPSHOT, body: str = "{}", error: VaultlineError = LATER
) -> Outgoing | None:
    return postponed(queue, message_id, body.encode(), "", error, NOW)


def test_it_comes_again_when_the_service_said() -> None:
    message = put_off(body='{"a": 1}')
    assert message is not None
    assert (message.queue, message.body) == (SNAPSHOT, '{"a": 1}')
    assert message.not_before == NOW + timedelta(seconds=300)
    assert put_off(body='{"a": 1}') == message


def test_each_time_under_another_id_that_never_grows_too_long() -> None:
    id_, seen = "x" * 128, set()
    for _ in range(TIMES):
        message = put_off(id_)
        assert message is not None
        id_ = message.message_id
        assert len(id_) <= 128
        seen.add(id_)
    assert len(seen) == TIMES
    assert put_off(id_) is None


@pytest.mark.parametrize(
    "error",
    [Transient("now"), Transient("soon", retry_after=1), Invalid("never"), VaultlineError("odd")],
)
def test_what_may_go_on_at_once_is_not_put_off(error: VaultlineError) -> None:
    assert put_off(error=error) is None


def test_a_command_keeps_its_request_id() -> None:
    first = put_off("m-1", COMMANDS, '{"type": "protect"}')
    assert first is not None
    assert json.loads(first.body)["request_id"] == "m-1"
    again = put_off(first.message_id, COMMANDS, first.body)
    assert again is not None
    assert json.loads(again.body)["request_id"] == "m-1"
    own = put_off("m-1", COMMANDS, '{"type": "protect", "request_id": "mine"}')
    assert own is not None
    assert json.loads(own.body)["request_id"] == "mine"


@pytest.mark.fault(49)
async def test_a_message_that_is_put_off_is_sent_anew_and_done_with() -> None:
    """It uses up no delivery, and nobody waits in a function."""
    ports = memory_ports()
    fault = ports.faults.plan(Fault("due.watch", error=lambda: LATER))
    body = b'{"item_id": "web", "job_id": "web.backup-1"}'
    delivery = Delivery(queue=SNAPSHOT, message_id="web.backup-1", lock_token="", body=body)
    assert await dispatch(ports, delivery) is None
    assert fault.fired == 1
    (message,) = ports.bus.messages(SNAPSHOT)
    assert message.body == body.decode()
    assert message.not_before == ports.clock.now() + timedelta(seconds=300)
