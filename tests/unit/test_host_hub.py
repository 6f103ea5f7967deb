"""The task hub: transactions, time and restarts, without an orchestrator."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.host.durable.events import EventType
from local.host.durable.hub import TaskHub
from local.host.durable.instances import (
    Episode,
    EpisodeResult,
    InstanceExistsError,
    InstanceQuery,
    NewInstance,
    Status,
)
from local.host.durable.replay import ActivityCall, SubOrchestration, Timer


class Clock:
    def __init__(self) -> None:
        self.now = datetime(2026, 3, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += timedelta(seconds=seconds)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def hub(tmp_path: Path, clock: Clock) -> Iterator[TaskHub]:
    hub = TaskHub(tmp_path / "hub.db", clock)
    yield hub
    hub.close()


def begin(hub: TaskHub, instance_id: str = "i", payload: str | None = None) -> Episode:
    hub.create(NewInstance(instance_id, "O", payload))
    return load(hub, instance_id)


def load(hub: TaskHub, instance_id: str = "i") -> Episode:
    episode = hub.load_episode(instance_id)
    assert episode
    return episode


def commit(hub: TaskHub, episode: Episode, *decisions: object, **changes: object) -> bool:
    values: dict[str, object] = {
        "events": episode.arrived,
        "status": Status.RUNNING,
        "decisions": decisions,
        **changes,
    }
    return hub.commit_episode(episode, EpisodeResult(**values))  # type: ignore[arg-type]


def kinds(episode: Episode) -> list[EventType]:
    return [EventType(item["EventType"]) for item in episode.arrived]


def test_a_new_instance_is_pending_and_ready(hub: TaskHub) -> None:
    episode = begin(hub, payload='"x"')
    assert episode.instance.status is Status.PENDING
    assert kinds(episode) == [EventType.EXECUTION_STARTED]
    assert hub.ready_instances() == ["i"]
    commit(hub, episode)
    assert hub.ready_instances() == []
    assert hub.load_episode("i") is None


def test_an_activity_is_pending_until_it_is_reported(hub: TaskHub) -> None:
    commit(hub, begin(hub), ActivityCall(0, "A", '"in"'))
    (activity,) = hub.pending_activities()
    assert (activity.name, activity.payload) == ("A", '"in"')
    hub.complete_activity(activity.id, result="7")
    hub.complete_activity(activity.id, result="8")
    assert hub.pending_activities() == []
    (ended,) = load(hub).arrived
    assert (ended["TaskScheduledId"], ended["Result"]) == (0, "7")


def test_everything_survives_the_process(hub: TaskHub, tmp_path: Path, clock: Clock) -> None:
    timer = Timer(1, clock.now + timedelta(seconds=30))
    commit(hub, begin(hub), ActivityCall(0, "A", None), timer)
    again = TaskHub(tmp_path / "hub.db", clock)
    assert [activity.name for activity in again.pending_activities()] == ["A"]
    assert len(again.history("i")) == 1
    assert again.next_timer(clock.now) == timer.fire_at
    again.close()


def test_a_timer_is_a_message_that_becomes_visible(hub: TaskHub, clock: Clock) -> None:
    commit(hub, begin(hub), Timer(0, clock.now + timedelta(seconds=30)))
    assert hub.ready_instances() == []
    before = clock.now
    clock.advance(30)
    assert hub.ready_instances() == ["i"]
    assert kinds(load(hub)) == [EventType.TIMER_FIRED]
    assert hub.next_timer(before) == clock.now
    assert hub.next_timer(clock.now) is None


def test_a_cancelled_timer_never_fires(hub: TaskHub, clock: Clock) -> None:
    commit(hub, begin(hub), Timer(0, clock.now + timedelta(seconds=30)))
    hub.raise_event("i", "go", "1")
    commit(hub, load(hub), cancelled_timers=frozenset({0}))
    clock.advance(60)
    assert hub.ready_instances() == []


def test_an_episode_on_an_older_instance_is_void(hub: TaskHub) -> None:
    episode = begin(hub)
    hub.suspend("i", None)
    assert not commit(hub, episode, ActivityCall(0, "A", None))
    assert hub.pending_activities() == []
    assert hub.history("i") == []


def test_an_episode_of_a_replaced_instance_is_void(hub: TaskHub) -> None:
    episode = begin(hub)
    hub.terminate("i", None)
    hub.create(NewInstance("i", "O", None))
    assert not commit(hub, episode, status=Status.COMPLETED)
    assert load(hub).instance.status is Status.PENDING


def test_messages_that_arrive_during_an_episode_are_kept(hub: TaskHub) -> None:
    episode = begin(hub)
    hub.raise_event("i", "go", "1")
    assert commit(hub, episode)
    assert kinds(load(hub)) == [EventType.EVENT_RAISED]


def test_suspension_holds_messages_back(hub: TaskHub) -> None:
    commit(hub, begin(hub))
    hub.suspend("i", "later")
    hub.raise_event("i", "go", "1")
    assert hub.load_episode("i") is None
    assert hub.ready_instances() == []
    hub.resume("i", None)
    expected = [
        EventType.EXECUTION_SUSPENDED,
        EventType.EVENT_RAISED,
        EventType.EXECUTION_RESUMED,
    ]
    assert kinds(load(hub)) == expected


def test_termination_drops_work_and_tells_the_parent(hub: TaskHub) -> None:
    commit(hub, begin(hub), SubOrchestration(0, "Child", "1", "child", ""))
    commit(hub, load(hub, "child"), ActivityCall(0, "A", None))
    hub.terminate("child", "enough")
    assert hub.pending_activities() == []
    child = hub.find("child")
    assert child
    assert (child.status, child.output_json) == (Status.TERMINATED, '"enough"')
    (told,) = load(hub).arrived
    assert told["EventType"] == EventType.SUB_ORCHESTRATION_FAILED
    assert told["Reason"] == "enough"


def test_a_child_answers_the_execution_that_asked(hub: TaskHub) -> None:
    commit(hub, begin(hub), SubOrchestration(0, "Child", '{"a": 1}', None, ""))
    (child_id,) = [i for i in hub.ready_instances() if i != "i"]
    child = load(hub, child_id)
    assert child.instance.parent
    assert child.instance.parent.instance_id == "i"
    assert json.loads(child.instance.input_json or "") == '{"a": 1}'
    hub.raise_event("i", "x", "1")
    commit(hub, load(hub), continue_with="null")
    commit(hub, child, status=Status.COMPLETED, output_json="1")
    assert kinds(load(hub)) == [EventType.EXECUTION_STARTED]  # the answer came too late


def test_a_child_whose_id_is_taken_fails(hub: TaskHub) -> None:
    begin(hub, "taken")
    commit(hub, begin(hub), SubOrchestration(0, "Child", None, "taken", ""))
    (told,) = load(hub).arrived
    assert "already exists" in told["Reason"]


def test_continue_as_new_begins_with_its_start_and_keeps_unread_events(hub: TaskHub) -> None:
    commit(hub, begin(hub, payload='"old"'), ActivityCall(0, "A", None))
    hub.raise_event("i", "read", "1")
    episode = load(hub)
    hub.raise_event("i", "unread", "2")
    assert commit(hub, episode, continue_with='"new"')
    assert hub.pending_activities() == []
    assert hub.history("i") == []
    again = load(hub)
    assert again.instance.input_json == '"new"'
    assert kinds(again) == [EventType.EXECUTION_STARTED, EventType.EVENT_RAISED]
    assert again.arrived[1]["Name"] == "unread"


def test_an_id_is_free_again_once_its_instance_has_ended(hub: TaskHub) -> None:
    episode = begin(hub)
    with pytest.raises(InstanceExistsError):
        hub.create(NewInstance("i", "O", None))
    commit(hub, episode, status=Status.COMPLETED, output_json="1")
    assert begin(hub).history == ()


def test_purge_takes_only_what_has_ended(hub: TaskHub) -> None:
    commit(hub, begin(hub, "over"), status=Status.FAILED, output_json='"no"')
    begin(hub, "open")
    assert hub.purge(["over", "open", "unknown"]) == 1
    assert hub.find("over") is None
    assert hub.history("over") == []
    assert hub.find("open")


def test_queries(hub: TaskHub, clock: Clock) -> None:
    commit(hub, begin(hub, "a-1"), status=Status.COMPLETED, output_json="1")
    clock.advance(60)
    begin(hub, "a-2")
    begin(hub, "b-1")

    def found(**wanted: object) -> list[str]:
        return [i.id for i in hub.query(InstanceQuery(**wanted))]  # type: ignore[arg-type]

    assert found() == ["a-1", "a-2", "b-1"]
    assert found(id_prefix="a-") == ["a-1", "a-2"]
    assert found(statuses=(Status.COMPLETED,)) == ["a-1"]
    assert found(created_from=clock.now) == ["a-2", "b-1"]
    assert found(created_to=clock.now - timedelta(seconds=1)) == ["a-1"]


def test_messages_to_nobody_are_dropped(hub: TaskHub) -> None:
    hub.raise_event("nobody", "x", "1")
    hub.create(NewInstance("nobody", "O", None))
    assert kinds(load(hub, "nobody")) == [EventType.EXECUTION_STARTED]
