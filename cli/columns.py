"""Which fields of the public views (`shared/steps/views.py`) people see, and how they read."""

from typing import Any

from cli.output import Column, decimal, listed, moment, size

RANGES_SHOWN = 8


def _sub_tasks(tasks: list[dict[str, Any]]) -> str:
    return listed(f"{task['name']}: {task['status']}" for task in tasks)


def _error(error: dict[str, Any]) -> str:
    return f"{error['code']}: {error['message']} {error['recommended_action']}"


def _reasons(reasons: list[dict[str, Any]]) -> str:
    return listed(
        f"{reason['rule']} until {moment(reason['until'])}" if reason["until"] else reason["rule"]
        for reason in reasons
    )


def _ranges(ranges: list[dict[str, int]]) -> str:
    """Where each begins and ends, in bytes, and of a machine in which disk; the first of them."""
    told = [_range(each) for each in ranges[:RANGES_SHOWN]]
    more = len(ranges) - len(told)
    return listed([*told, f"and {more} more"] if more else told)


def _range(each: dict[str, int]) -> str:
    seat = f"seat {each['seat']}: " if "seat" in each else ""
    return f"{seat}{each['start']}-{each['end']}"


def _hold(hold: dict[str, Any]) -> str:
    because = f": {hold['reason']}" if hold["reason"] else ""
    return f"since {moment(hold['since'])}{because}"


def _disk_snapshots(disks: list[dict[str, Any]]) -> str:
    good = sum(1 for disk in disks if disk["succeeded"])
    failed = [disk["message"] or disk["url"] for disk in disks if not disk["succeeded"]]
    return listed([f"{good} of {len(disks)} snapshots taken", *failed])


def _luns(disks: dict[str, list[Any]]) -> str:
    [(way, luns)] = disks.items()
    return f"{'all but' if way == 'exclude' else 'only'} {listed(str(lun) for lun in luns)}"


def _machine_disks(disks: list[dict[str, Any]]) -> str:
    return listed(
        f"{disk['lun']}: {disk['name']} ({size(disk['size_bytes'])}, seat {disk['seat']})"
        for disk in disks
    )


def _restored(disks: list[dict[str, Any]]) -> str:
    """What was made; and what was replaced by it, which stays."""
    told = (
        f"{disk['lun']}: {disk['disk']}"
        + (f" instead of {disk['replaced']}, which stays" if disk["replaced"] else "")
        for disk in disks
    )
    return listed(told)


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
    Column("DELETED FOR GOOD", "delete_after", moment),
    Column("EXPIRY", "expiry_held", lambda _: "held"),
    Column("SOURCE", "source"),
)
ITEM = (
    *ITEMS,
    Column("DISKS", "disks", _luns),
    Column("PROTECTED SINCE", "protected_at", moment),
    Column("BASE", "base"),
    Column("EXPIRY HELD", "expiry_held"),
    Column("HEALTH", "health"),
    Column("CHECKED", "checked_at", moment),
)

JOBS = (
    Column("ID", "id"),
    Column("OPERATION", "operation"),
    Column("STATUS", "status"),
    Column("STARTED", "started_at", moment),
    Column("ENDED", "ended_at", moment),
    Column("MOVED", "moved_bytes", size),
    Column("ERROR", "error", lambda error: str(error["code"])),
)
CHECKED = (
    Column("COMPARED", "compared_bytes", size),
    Column("DIFFERED", "differing_bytes", size),
    Column("AT", "differing_ranges", _ranges),
    Column("SUSPECT POINTS", "suspect_points", listed),
)
"""What a check found."""
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
    *CHECKED,
    Column("POINT", "point"),
    Column("TARGET", "target"),
    Column("RESTORED", "restored_disks", _restored),
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
    Column("SUSPECT", "suspect", lambda _: "yes"),
)
POINT = (
    Column("ID", "id"),
    Column("ITEM", "item_id"),
    Column("JOB", "job_id"),
    Column("CREATED", "created_at", moment),
    Column("KIND", "kind"),
    Column("WHY", "kind_reason"),
    Column("TIERS", "tiers", listed),
    Column("CONSISTENCY", "consistency"),
    Column("NO MORE BECAUSE", "consistency_reason"),
    Column("DISKS", "disks", _machine_disks),
    Column("SIZE", "size_bytes", size),
    Column("CHANGED", "changed_bytes", size),
    Column("COPIED", "copied_bytes", size),
    Column("CLEARED", "cleared_bytes", size),
    Column("REPAIRED", "repaired_bytes", size),
    Column("SUSPECT", "suspect"),
    Column("HEALED", "healed"),
    Column("REQUESTS", "requests"),
    Column("EXPIRES", "expires_at", moment),
    Column("KEPT BY", "reasons", _reasons),
    Column("HELD", "hold", _hold),
)

REQUEST = (
    Column("ITEM", "item_id"),
    Column("JOB", "id"),
    Column("STATUS", "status"),
    Column("POINT", "point"),
    Column("TARGET", "target"),
    Column("FOUND", "found"),
    Column("REGISTERED", "registered"),
    *CHECKED,
    Column("RESTORED", "restored_disks", _restored),
    Column("ERROR", "error", _error),
)
BULK = (
    Column("ITEM", "item_id"),
    Column("STATUS", "status"),
    Column("JOB", "id"),
    Column("SOURCE", "source"),
    Column("ERROR", "error", _error),
)

DISKS = (
    Column("URL", "url"),
    Column("SIZE", "size_bytes", size),
    Column("STATE", "state"),
    Column("ITEM", "item_id"),
    Column("REGISTERED", "registered_at", moment),
)

DEAD_LETTERS = (
    Column("ID", "id"),
    Column("MESSAGE", "message_id"),
    Column("ITEM", "item_id"),
    Column("CODE", "code"),
    Column("REASON", "reason"),
)
DEAD_LETTER = (
    *DEAD_LETTERS,
    Column("JOB", "job_id"),
    Column("SINCE", "at", moment),
    Column("DELIVERIES", "delivery_count"),
    Column("BODY", "body"),
)

VAULTS = (
    Column("NAME", "name"),
    Column("KIND", "kind"),
    Column("URL", "url"),
    Column("REGION", "region"),
    Column("REDUNDANCY", "redundancy"),
    Column("CREATED", "created_at", moment),
)
VAULT = (
    *VAULTS,
    Column("EXTENTS OF", "extent_bytes", size),
    Column("ITEMS", "items"),
    Column("HOLDS AT MOST", "stored_bytes", decimal),
    Column("CHANGES A DAY", "daily_bytes", decimal),
    Column("MACHINES IN AZURE", "machines"),
    Column("SOFTLY DELETED", "softly_deleted", listed),
    Column("OF OTHERS", "others", listed),
    Column("WARNINGS", "warnings", "\n".join),
)

PROTECTABLE = (Column("MACHINE", "url"),)

GROUPS = (
    Column("NAME", "name"),
    Column("POLICY", "policy"),
    Column("VAULT", "vault"),
    Column("CREATED", "created_at", moment),
)
GROUP = (*GROUPS, Column("ITEMS", "items", lambda items: listed(each["id"] for each in items)))
GROUP_SIZE = (
    Column("GROUP", "group"),
    Column("POLICY", "policy"),
    Column("DISKS", "disks"),
    Column("ONE FULL COPY", "full_copy_bytes", decimal),
    Column("DAYS", "days"),
    Column("POINTS A DISK", "points_per_disk"),
    Column("CHURN A DAY", "churn_pct", lambda churn: f"{churn:g} %"),
    Column("CHURN IS", "churn_from"),
    Column("CHANGES A DAY", "daily_bytes", decimal),
    Column("VAULT AFTER THESE DAYS", "stored_bytes", decimal),
    Column("SOURCES' SNAPSHOTS", "snapshot_bytes", decimal),
    Column("WARNINGS", "warnings", "\n".join),
)

POLICIES = (
    Column("NAME", "name"),
    Column("VERSION", "version"),
    Column("SCHEDULE", "schedule", _schedule),
    Column("TIME ZONE", "time_zone"),
    Column("KEEP", "retention", _retention),
    Column("INSTANT RESTORE DAYS", "instant_restore_days"),
)
POLICY = (
    *POLICIES,
    Column("CONSISTENCY", "consistency"),
    Column("CHANGE", "change"),
    Column("ITEMS UNDER IT", "items"),
)

PREVIEWED = (
    Column("SLOT", "slot", moment),
    Column("LOCAL", "local"),
    Column("EXPIRES", "expires_at", moment),
    Column("KEPT BY", "kept_by", listed),
)

DECISIONS = (
    Column("ITEM", "item_id"),
    Column("POINT", "point_id"),
    Column("DECISION", "decision"),
    Column("WHY", "why"),
    Column("SOURCE SNAPSHOT", "snapshot"),
)

MACHINES = (
    Column("ID", "id"),
    Column("SIZE", "size_bytes", size),
    Column("ITEM", "item_id"),
)
FINDINGS = (
    Column("LOOKED AT", "subject"),
    Column("STATE", "state"),
    Column("SEEN", "seen"),
)
EXTENSION_TASK = (
    Column("TASK", "task_id"),
    Column("STARTS", "starts_at", moment),
    Column("LOCALE", "locale"),
    Column("PROTECTED", "protected", listed),
)
EXTENSION_STATUS = (
    Column("OUTCOME", "outcome"),
    Column("CODE", "code"),
    Column("NAME", "name"),
    Column("MESSAGE", "message"),
    Column("DO THIS", "recommended_action"),
    Column("CONSISTENCY", "consistency"),
    Column("OPERATION", "operation"),
    Column("TASK", "task_id"),
    Column("STARTED", "starts_at", moment),
    Column("REPORTED", "reported_at", moment),
    Column("DISKS", "disks", _disk_snapshots),
    Column("VERSION", "version"),
)
EXPLAINED_CODES = (
    Column("CODE", "code"),
    Column("NUMBER", "number"),
    Column("MEANS", "meaning"),
)
EXPLAINED = (*EXPLAINED_CODES, Column("DO THIS", "recommended_action"))

COMPONENTS = (
    Column("NAME", "name"),
    Column("STATE", "state"),
    Column("PID", "pid"),
    Column("PORT", "port"),
    Column("SINCE", "since", moment),
)
