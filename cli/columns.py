"""Which fields of the public views (`shared/steps/views.py`) people see, and how they read."""

from typing import Any

from cli.output import Column, listed, moment, size


def _sub_tasks(tasks: list[dict[str, Any]]) -> str:
    return listed(f"{task['name']}: {task['status']}" for task in tasks)


def _error(error: dict[str, Any]) -> str:
    return f"{error['code']}: {error['message']} {error['recommended_action']}"


def _reasons(reasons: list[dict[str, Any]]) -> str:
    return listed(
        f"{reason['rule']} until {moment(reason['until'])}" if reason["until"] else reason["rule"]
        for reason in reasons
    )


def _rules(reasons: list[dict[str, Any]]) -> str:
    return listed(reason["rule"] for reason in reasons)


def _retention(rules: dict[str, Any]) -> str:
    return listed(f"{name} {rule['keep']}" for name, rule in rules.items())


def _schedule(schedule: dict[str, Any]) -> str:
    details = {key: value for key, value in schedule.items() if key != "frequency"}
    told = (
        f"{key.replace('_', ' ')} {listed(value) if isinstance(value, list) else value}"
        for key, value in details.items()
    )
    return f"{schedule['frequency']} {' '.join(told)}"


ITEMS = (
    Column("ID", "id"),
    Column("STATE", "state"),
    Column("POLICY", "policy"),
    Column("VAULT", "vault"),
    Column("LAST POINT", "last_point_at", moment),
    Column("SOURCE", "source"),
)
ITEM = (*ITEMS, Column("PROTECTED SINCE", "protected_at", moment), Column("BASE", "base"))

JOBS = (
    Column("ID", "id"),
    Column("OPERATION", "operation"),
    Column("STATUS", "status"),
    Column("STARTED", "started_at", moment),
    Column("ENDED", "ended_at", moment),
    Column("MOVED", "moved_bytes", size),
    Column("ERROR", "error", lambda error: str(error["code"])),
)
JOB = (
    Column("ID", "id"),
    Column("ITEM", "item_id"),
    Column("OPERATION", "operation"),
    Column("STATUS", "status"),
    Column("SUB-TASKS", "sub_tasks", _sub_tasks),
    Column("SLOT", "slot", moment),
    Column("STARTED", "started_at", moment),
    Column("ENDED", "ended_at", moment),
    Column("PLANNED", "planned_bytes", size),
    Column("MOVED", "moved_bytes", size),
    Column("ERROR", "error", _error),
    Column("TRACE", "trace_id"),
)

POINTS = (
    Column("ID", "id"),
    Column("CREATED", "created_at", moment),
    Column("KIND", "kind"),
    Column("TIERS", "tiers", listed),
    Column("CHANGED", "changed_bytes", size),
    Column("COPIED", "copied_bytes", size),
    Column("EXPIRES", "expires_at", moment),
    Column("KEPT BY", "reasons", _rules),
)
POINT = (
    Column("ID", "id"),
    Column("ITEM", "item_id"),
    Column("JOB", "job_id"),
    Column("CREATED", "created_at", moment),
    Column("KIND", "kind"),
    Column("WHY", "kind_reason"),
    Column("TIERS", "tiers", listed),
    Column("SIZE", "size_bytes", size),
    Column("CHANGED", "changed_bytes", size),
    Column("COPIED", "copied_bytes", size),
    Column("CLEARED", "cleared_bytes", size),
    Column("REQUESTS", "requests"),
    Column("EXPIRES", "expires_at", moment),
    Column("KEPT BY", "reasons", _reasons),
)

REQUEST = (
    Column("ITEM", "item_id"),
    Column("JOB", "id"),
    Column("STATUS", "status"),
    Column("POINT", "point"),
    Column("TARGET", "target"),
    Column("ERROR", "error", _error),
)

VAULTS = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("URL", "url"),
    Column("CREATED", "created_at", moment),
)

POLICIES = (
    Column("NAME", "name"),
    Column("VERSION", "version"),
    Column("SCHEDULE", "schedule", _schedule),
    Column("TIME ZONE", "time_zone"),
    Column("KEEP", "retention", _retention),
    Column("INSTANT RESTORE DAYS", "instant_restore_days"),
)
POLICY = (*POLICIES, Column("CONSISTENCY", "consistency"), Column("CHANGE", "change"))

SLOTS = (
    Column("SLOT", "slot", moment),
    Column("LOCAL", "local"),
    Column("EXPIRES", "expires_at", moment),
    Column("KEPT BY", "reasons", _rules),
)

DECISIONS = (
    Column("ITEM", "item_id"),
    Column("POINT", "point_id"),
    Column("DECISION", "decision"),
    Column("WHY", "why"),
    Column("SOURCE SNAPSHOT", "snapshot"),
)

COMPONENTS = (
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("PID", "pid"),
    Column("PORT", "port"),
    Column("SINCE", "since", moment),
)
