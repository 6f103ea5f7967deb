"""What an orchestrator function answers: its state, also when it raises."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from local.host.durable.replay import Action, ReplayError

# The SDK raises with the state behind this label, so that actions are not lost with the error.
_LABEL = "$OutOfProcData$:"


@dataclass(frozen=True)
class OrchestratorState:
    """``output`` and ``custom_status`` are JSON values; ``error`` is None on success."""

    is_done: bool
    actions: Sequence[Action]
    output: Any
    error: str | None
    custom_status: Any


def parse_state(text: str) -> OrchestratorState:
    """Read the JSON an orchestrator returned. Raises ReplayError."""
    try:
        document = json.loads(text)
        batches = document["actions"]
        actions = batches[0] if batches else []
    except (ValueError, KeyError, TypeError, IndexError):
        raise ReplayError("The orchestrator did not return a valid orchestrator state.") from None
    return OrchestratorState(
        is_done=bool(document.get("isDone")),
        actions=actions,
        output=document.get("output"),
        error=document.get("error") or None,
        custom_status=document.get("customStatus"),
    )


def state_of_failure(error: BaseException) -> OrchestratorState:
    """The state behind an orchestrator's exception; an exception without one is all there is."""
    message, label, text = str(error).partition(_LABEL)
    if not label:
        return OrchestratorState(True, (), None, message or type(error).__name__, None)
    state = parse_state(text)
    return OrchestratorState(
        is_done=True,
        actions=state.actions,
        output=None,
        error=state.error or message.strip(),
        custom_status=state.custom_status,
    )
