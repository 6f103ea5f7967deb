"""The policies that every vault begins with."""

from datetime import datetime
from typing import Any

from local.arm.answers import JsonObject
from local.arm.recovery.formats import utc
from local.arm.recovery.names import MANAGEMENT_TYPE
from local.arm.recovery.policies import Policy


def built_in_policies(created: datetime) -> tuple[Policy, ...]:
    """The three that a new vault has; their times are of the day it was made."""
    evening = utc(created.replace(hour=20, minute=0, second=0, microsecond=0))
    morning = utc(created.replace(hour=8, minute=0, second=0, microsecond=0))
    retention = _keep_thirty_days(evening)
    simple = {
        "schedulePolicyType": "SimpleSchedulePolicy",
        "scheduleRunFrequency": "Daily",
        "scheduleRunTimes": [evening],
        "scheduleWeeklyFrequency": 0,
    }
    hourly = {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": "Hourly",
        "hourlySchedule": {
            "interval": 4,
            "scheduleWindowStartTime": morning,
            "scheduleWindowDuration": 12,
        },
    }
    rest = {"instantRpRetentionRangeInDays": 2, "timeZone": "UTC"}
    default = {"schedulePolicy": simple, "retentionPolicy": retention, **rest}
    enhanced = {"schedulePolicy": hourly, "retentionPolicy": _keep_thirty_days(morning), **rest}
    machine = {"backupManagementType": MANAGEMENT_TYPE}
    return (
        Policy("HourlyLogBackup", _log_backup(simple, retention)),
        Policy("DefaultPolicy", {**machine, "instantRPDetails": {}, **default}),
        Policy(
            "EnhancedPolicy", {**machine, "policyType": "V2", "instantRPDetails": {}, **enhanced}
        ),
    )


def _keep_thirty_days(time: str) -> dict[str, Any]:
    return {
        "retentionPolicyType": "LongTermRetentionPolicy",
        "dailySchedule": {
            "retentionTimes": [time],
            "retentionDuration": {"count": 30, "durationType": "Days"},
        },
    }


def _log_backup(schedule: JsonObject, retention: JsonObject) -> dict[str, Any]:
    log = {
        "policyType": "Log",
        "schedulePolicy": {
            "schedulePolicyType": "LogSchedulePolicy",
            "scheduleFrequencyInMins": 60,
        },
        "retentionPolicy": {
            "retentionPolicyType": "SimpleRetentionPolicy",
            "retentionDuration": {"count": 30, "durationType": "Days"},
        },
    }
    full = {"policyType": "Full", "schedulePolicy": schedule, "retentionPolicy": retention}
    return {
        "backupManagementType": "AzureWorkload",
        "workLoadType": "SQLDataBase",
        "settings": {"timeZone": "UTC", "issqlcompression": False, "isCompression": False},
        "subProtectionPolicy": [full, log],
    }
