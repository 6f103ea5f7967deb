"""What a redriven dead letter looks like."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.decide.redrive import redriven
from shared.memory.bus import MESSAGE_ID_CHARACTERS
from shared.model.dead_letter import DeadLetter
from shared.model.messages import COMMANDS, COPY

COMMAND = {"type": "backup-now", "item_id": "disk-1"}


def letter(**fields: Any) -> DeadLetter:
    given: dict[str, Any] = {
        "queue": COMMANDS,
        "sequence_number": 17,
        "message_id": "nightly",
        "body": json.dumps(COMMAND),
        "code": "MaxDeliveryCountExceeded",
        "reason": "Message could not be consumed after 10 delivery attempts.",
        "delivery_count": 10,
        "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
    }
    return DeadLetter(**{**given, **fields})


def test_a_message_of_ours_goes_as_it_was_under_an_id_of_its_own() -> None:
    dead = letter(queue=COPY, body='{"part":1}')
    copy = redriven(dead)
    assert (copy.queue, copy.body, copy.traceparent) == (COPY, dead.body, dead.traceparent)
    assert copy.message_id == "nightly.redrive.17"
    assert redriven(dead) == copy


@pytest.mark.parametrize("code", ["MaxDeliveryCountExceeded", "TTLExpiredException"])
def test_a_command_that_nobody_judged_starts_the_job_it_was_to_start(code: str) -> None:
    """Its request id is its first MessageId where it names none."""
    body = json.loads(redriven(letter(code=code)).body)
    assert body == {**COMMAND, "request_id": "nightly"}
    named = letter(code=code, body=json.dumps({**COMMAND, "request_id": "mine"}))
    assert json.loads(redriven(named).body)["request_id"] == "mine"


@pytest.mark.parametrize("request_id", [None, "mine"])
def test_a_refused_command_is_a_new_request(request_id: str | None) -> None:
    """The job of the old one has failed for good."""
    dead = letter(code="InvalidInput", body=json.dumps({**COMMAND, "request_id": request_id}))
    copy = redriven(dead)
    assert json.loads(copy.body)["request_id"] == copy.message_id


@pytest.mark.parametrize("body", ["not JSON", "[1]", "{", '"text"', ""])
def test_what_is_no_command_goes_as_it_is(body: str) -> None:
    assert redriven(letter(body=body)).body == body


@given(
    st.text(st.characters(codec="utf-8"), max_size=MESSAGE_ID_CHARACTERS),
    st.lists(st.integers(1, 2**63 - 1), min_size=1, max_size=4),
)
def test_ids_stay_within_the_services_limit(message_id: str, numbers: list[int]) -> None:
    """However often the same message is redriven; each time under another id."""
    seen = {message_id}
    for number in dict.fromkeys(numbers):
        message_id = redriven(letter(message_id=message_id, sequence_number=number)).message_id
        assert len(message_id) <= MESSAGE_ID_CHARACTERS
        assert message_id not in seen
        seen.add(message_id)
