"""The task hub: instances, histories, messages and activities in one SQLite file.

One process writes. Every change is one transaction, so a process that dies leaves either the
whole of it or nothing: an episode that was not committed runs again, an activity that was not
reported runs again. Timers are messages that become visible later.
"""

import json
import uuid
from collections.abc import Callable, Collection, Iterable
from datetime import UTC, datetime
from pathlib import Path

from local.host.durable import events
from local.host.durable.events import Event, EventType, event, format_time, parse_time
from local.host.durable.instances import (
    Episode,
    EpisodeResult,
    Instance,
    InstanceExistsError,
    InstanceQuery,
    NewInstance,
    Parent,
    PendingActivity,
    Status,
)
from local.host.durable.replay import ActivityCall, Decision, SubOrchestration, Timer
from local.host.durable.tables import HubTables, instance_of

_ACTIVE = (Status.PENDING, Status.RUNNING)


class TaskHub:
    """All durable state. Not thread-safe: for one loop."""

    def __init__(self, path: Path | str, now: Callable[[], datetime]) -> None:
        self._now = now
        self._db = HubTables(path, now)

    def close(self) -> None:
        self._db.close()

    # -- instances ------------------------------------------------------------------------

    def create(self, new: NewInstance) -> None:
        """Start an instance; one that has ended is replaced. Raises InstanceExistsError."""
        with self._db.transaction():
            self._create(new)

    def find(self, instance_id: str) -> Instance | None:
        row = self._db.one("SELECT * FROM instances WHERE id = ?", (instance_id,))
        return instance_of(row) if row else None

    def query(self, wanted: InstanceQuery) -> list[Instance]:
        """Instances that match, oldest first."""
        rows = self._db.execute("SELECT * FROM instances ORDER BY created_at, id")
        return [found for row in rows if _matches(found := instance_of(row), wanted)]

    def history(self, instance_id: str) -> list[Event]:
        """The events of the instance's current execution, in order."""
        rows = self._db.execute(
            "SELECT event FROM history WHERE instance_id = ? ORDER BY position", (instance_id,)
        )
        return [json.loads(row["event"]) for row in rows]

    def raise_event(self, instance_id: str, name: str, payload: str) -> None:
        with self._db.transaction():
            self._db.send(instance_id, events.event_raised(self._now(), name, payload))

    def suspend(self, instance_id: str, reason: str | None) -> None:
        """Hold back an instance's messages until it is resumed."""
        with self._db.transaction():
            if self._db.set_status(instance_id, _ACTIVE, Status.SUSPENDED):
                self._db.send(
                    instance_id, event(EventType.EXECUTION_SUSPENDED, self._now(), Reason=reason)
                )

    def resume(self, instance_id: str, reason: str | None) -> None:
        with self._db.transaction():
            if self._db.set_status(instance_id, (Status.SUSPENDED,), Status.RUNNING):
                self._db.send(
                    instance_id, event(EventType.EXECUTION_RESUMED, self._now(), Reason=reason)
                )

    def terminate(self, instance_id: str, reason: str | None) -> None:
        """End an instance now; what its activities still return is dropped."""
        instance = self.find(instance_id)
        if instance is None or instance.status.is_terminal:
            return
        ended = EpisodeResult(
            events=(event(EventType.EXECUTION_TERMINATED, self._now(), Reason=reason),),
            status=Status.TERMINATED,
            custom_status_json=instance.custom_status_json,
            output_json=json.dumps(reason),
        )
        with self._db.transaction():
            self._db.append(instance.id, ended.events)
            self._finish(instance, ended)

    def purge(self, instance_ids: Collection[str]) -> int:
        """Forget instances that have ended; how many there were."""
        with self._db.transaction():
            ended = [i for i in map(self.find, instance_ids) if i and i.status.is_terminal]
            for instance in ended:
                self._db.forget(instance.id)
        return len(ended)

    # -- episodes -------------------------------------------------------------------------

    def ready_instances(self) -> list[str]:
        """Instances with visible messages that may run now, longest waiting first."""
        rows = self._db.execute(
            "SELECT instance_id FROM inbox JOIN instances ON instances.id = instance_id"
            " WHERE visible_at <= ? AND status IN (?, ?)"
            " GROUP BY instance_id ORDER BY MIN(inbox.id)",
            (format_time(self._now()), *_ACTIVE),
        )
        return [row["instance_id"] for row in rows]

    def next_timer(self, after: datetime) -> datetime | None:
        """When the next message becomes visible that was not visible at that time."""
        row = self._db.one(
            "SELECT MIN(visible_at) AS at FROM inbox WHERE visible_at > ?", (format_time(after),)
        )
        return parse_time(row["at"]) if row and row["at"] else None

    def load_episode(self, instance_id: str) -> Episode | None:
        """What the instance has to work on, or None when there is nothing."""
        instance = self.find(instance_id)
        if instance is None or instance.status not in _ACTIVE:
            return None
        rows = self._db.execute(
            "SELECT * FROM inbox WHERE instance_id = ? AND visible_at <= ? ORDER BY visible_at, id",
            (instance_id, format_time(self._now())),
        ).fetchall()
        if not rows:
            return None
        return Episode(
            instance=instance,
            history=tuple(self.history(instance_id)),
            arrived=_start_first(
                json.loads(row["event"])
                for row in rows
                if row["execution_id"] in (None, instance.execution_id)
            ),
            message_ids=tuple(row["id"] for row in rows),
        )

    def commit_episode(self, episode: Episode, result: EpisodeResult) -> bool:
        """Store an episode whole; False (and nothing stored) if the instance has changed since."""
        instance = episode.instance
        with self._db.transaction():
            current = self.find(instance.id)
            if current is None or _version(current) != _version(instance):
                return False
            self._db.delete_messages(episode.message_ids)
            if result.continue_with is not None:
                self._continue_as_new(instance, result)
                return True
            self._db.append(instance.id, result.events)
            for timer_id in result.cancelled_timers:
                self._db.execute(
                    "DELETE FROM inbox WHERE instance_id = ? AND execution_id = ? AND timer_id = ?",
                    (instance.id, instance.execution_id, timer_id),
                )
            if result.status.is_terminal:
                self._finish(instance, result)
            else:
                self._db.update(instance.id, result)
                for decision in result.decisions:
                    self._carry_out(instance, decision, result.cancelled_timers)
        return True

    # -- activities -----------------------------------------------------------------------

    def pending_activities(self) -> list[PendingActivity]:
        """Activities that have not been reported, oldest first, those running now included."""
        rows = self._db.execute(
            "SELECT activities.*, traceparent, tracestate FROM activities"
            " JOIN instances ON instances.id = instance_id ORDER BY activities.id"
        )
        return [
            PendingActivity(
                id=row["id"],
                instance_id=row["instance_id"],
                name=row["name"],
                payload=row["payload"],
                traceparent=row["traceparent"],
                tracestate=row["tracestate"],
            )
            for row in rows
        ]

    def complete_activity(self, activity_id: int, *, result: str) -> None:
        """Report what an activity returned (JSON text)."""
        self._report(activity_id, lambda task: events.task_ended(self._now(), task, result=result))

    def fail_activity(self, activity_id: int, *, reason: str, details: str) -> None:
        """Report that an activity raised."""
        self._report(
            activity_id,
            lambda task: events.task_failed(self._now(), task, reason=reason, details=details),
        )

    # -- parts of transactions ------------------------------------------------------------

    def _create(self, new: NewInstance) -> None:
        existing = self.find(new.id)
        if existing and not existing.status.is_terminal:
            raise InstanceExistsError(new.id)
        self._db.forget(new.id)
        parent = new.parent
        # The empty columns are what `_begin_execution` fills in.
        self._db.execute(
            "INSERT INTO instances (id, execution_id, name, version, status, created_at,"
            " updated_at, parent_id, parent_execution_id, parent_task_id, traceparent, tracestate)"
            " VALUES (?, '', ?, ?, '', '', '', ?, ?, ?, ?, ?)",
            (
                new.id,
                new.name,
                new.version,
                parent and parent.instance_id,
                parent and parent.execution_id,
                parent and parent.task_id,
                new.traceparent,
                new.tracestate,
            ),
        )
        self._begin_execution(new.id, new.name, new.version, new.payload, Status.PENDING)

    def _begin_execution(
        self, instance_id: str, name: str, version: str, payload: str | None, status: Status
    ) -> None:
        execution_id, now = uuid.uuid4().hex, self._now()
        self._db.execute(
            "UPDATE instances SET execution_id = ?, input_json = ?, status = ?, created_at = ?,"
            " updated_at = ?, output_json = NULL, revision = revision + 1 WHERE id = ?",
            (execution_id, payload, status, format_time(now), format_time(now), instance_id),
        )
        started = events.execution_started(
            now,
            name=name,
            version=version,
            instance_id=instance_id,
            execution_id=execution_id,
            payload=payload,
        )
        self._db.send(instance_id, started, execution_id=execution_id)

    def _continue_as_new(self, instance: Instance, result: EpisodeResult) -> None:
        """A new execution with an empty history; external events not read yet stay in the inbox."""
        self._drop_execution(instance)
        self._db.execute("DELETE FROM history WHERE instance_id = ?", (instance.id,))
        self._db.execute(
            "UPDATE instances SET custom_status_json = ? WHERE id = ?",
            (result.custom_status_json, instance.id),
        )
        self._begin_execution(
            instance.id, instance.name, instance.version, result.continue_with, Status.RUNNING
        )

    def _carry_out(self, instance: Instance, decision: Decision, cancelled: frozenset[int]) -> None:
        match decision:
            case ActivityCall(id=task_id, name=name, payload=payload):
                self._db.execute(
                    "INSERT INTO activities (instance_id, execution_id, task_id, name, payload)"
                    " VALUES (?, ?, ?, ?, ?)",
                    (instance.id, instance.execution_id, task_id, name, payload),
                )
            case Timer(id=task_id, fire_at=fire_at):
                if task_id not in cancelled:
                    self._set_timer(instance, task_id, fire_at)
            case SubOrchestration():
                self._start_child(instance, decision)

    def _set_timer(self, instance: Instance, timer_id: int, fire_at: datetime) -> None:
        self._db.execute(
            "INSERT INTO inbox (instance_id, execution_id, timer_id, visible_at, event)"
            " VALUES (?, ?, ?, ?, ?)",
            (
                instance.id,
                instance.execution_id,
                timer_id,
                format_time(fire_at),
                json.dumps(events.timer_fired(fire_at, timer_id)),
            ),
        )

    def _start_child(self, instance: Instance, child: SubOrchestration) -> None:
        new = NewInstance(
            id=child.instance_id or f"{instance.execution_id}:{child.id:04X}",
            name=child.name,
            payload=None if child.payload is None else json.dumps(child.payload),
            version=child.version or instance.version,
            parent=Parent(instance.id, instance.execution_id, child.id),
            traceparent=instance.traceparent,
            tracestate=instance.tracestate,
        )
        try:
            self._create(new)
        except InstanceExistsError as error:
            self._db.send(
                instance.id,
                events.sub_failed(self._now(), child.id, reason=str(error)),
                execution_id=instance.execution_id,
            )

    def _finish(self, instance: Instance, result: EpisodeResult) -> None:
        self._db.update(instance.id, result)
        self._drop_execution(instance)
        self._db.execute("DELETE FROM inbox WHERE instance_id = ?", (instance.id,))
        if instance.parent:
            self._tell_parent(instance.parent, result)

    def _tell_parent(self, parent: Parent, result: EpisodeResult) -> None:
        if result.status is Status.COMPLETED:
            answer = events.sub_ended(self._now(), parent.task_id, result=result.output_json)
        else:
            reason = json.loads(result.output_json or "null") or "The sub-orchestration was ended."
            answer = events.sub_failed(self._now(), parent.task_id, reason=str(reason))
        self._db.send(parent.instance_id, answer, execution_id=parent.execution_id)

    def _drop_execution(self, instance: Instance) -> None:
        """Remove what only the current execution waits for."""
        self._db.execute("DELETE FROM activities WHERE instance_id = ?", (instance.id,))
        self._db.execute(
            "DELETE FROM inbox WHERE instance_id = ? AND execution_id = ?",
            (instance.id, instance.execution_id),
        )

    def _report(self, activity_id: int, outcome: Callable[[int], Event]) -> None:
        with self._db.transaction():
            row = self._db.one("SELECT * FROM activities WHERE id = ?", (activity_id,))
            if row is None:
                return  # its instance has ended or continued as new
            self._db.execute("DELETE FROM activities WHERE id = ?", (activity_id,))
            self._db.send(
                row["instance_id"], outcome(row["task_id"]), execution_id=row["execution_id"]
            )


def _version(instance: Instance) -> tuple[str, int]:
    return instance.execution_id, instance.revision


def _start_first(arrived: Iterable[Event]) -> tuple[Event, ...]:
    """External events may be older than the execution that reads them (continue as new)."""
    return tuple(sorted(arrived, key=lambda item: item["EventType"] != EventType.EXECUTION_STARTED))


def _matches(instance: Instance, wanted: InstanceQuery) -> bool:
    start = wanted.created_from or datetime.min.replace(tzinfo=UTC)
    end = wanted.created_to or datetime.max.replace(tzinfo=UTC)
    return (
        start <= instance.created_at <= end
        and (not wanted.statuses or instance.status in wanted.statuses)
        and instance.id.startswith(wanted.id_prefix)
    )
