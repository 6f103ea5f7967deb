"""Policies of the fake Recovery Services: what is refused, what is normalised, what they say."""

from copy import deepcopy
from datetime import UTC, datetime
from typing import Any

import pytest

from local.arm.answers import ArmError
from local.arm.recovery.calendar_rules import keep_until, next_run
from local.arm.recovery.policies import Policy, read_policy
from tests.unit.recovery_world import VAULT, World

TIME = "2024-04-28T16:30:00.000Z"


def daily(count: int = 30, **properties: Any) -> dict[str, Any]:
    return {
        "backupManagementType": "AzureIaasVM",
        "schedulePolicy": {
            "schedulePolicyType": "SimpleSchedulePolicy",
            "scheduleRunFrequency": "Daily",
            "scheduleRunTimes": [TIME],
        },
        "retentionPolicy": {
            "retentionPolicyType": "LongTermRetentionPolicy",
            "dailySchedule": kept(count, "Days"),
        },
        "timeZone": "UTC",
        **properties,
    }


def kept(count: int, unit: str, **rest: Any) -> dict[str, Any]:
    duration = {"count": count, "durationType": unit}
    return {"retentionTimes": [TIME], "retentionDuration": duration, **rest}


def hourly(interval: int = 4, hours: int = 12, **properties: Any) -> dict[str, Any]:
    schedule = {
        "schedulePolicyType": "SimpleSchedulePolicyV2",
        "scheduleRunFrequency": "Hourly",
        "hourlySchedule": {
            "interval": interval,
            "scheduleWindowStartTime": "2024-04-28T08:00:00.000Z",
            "scheduleWindowDuration": hours,
        },
    }
    return {**daily(), "policyType": "V2", "schedulePolicy": schedule, **properties}


def weekly(days: list[str], **retention: Any) -> dict[str, Any]:
    policy = daily()
    policy["schedulePolicy"] |= {"scheduleRunFrequency": "Weekly", "scheduleRunDays": days}
    rules = {"weeklySchedule": kept(4, "Weeks", daysOfTheWeek=days), **retention}
    policy["retentionPolicy"] = {"retentionPolicyType": "LongTermRetentionPolicy", **rules}
    return policy


def policy(properties: dict[str, Any], name: str = "gold") -> Policy:
    return read_policy(name, {"properties": deepcopy(properties)}, None)


def refusal(properties: dict[str, Any], name: str = "gold") -> ArmError:
    with pytest.raises(ArmError) as refused:
        policy(properties, name)
    return refused.value


def test_times_lose_their_milliseconds() -> None:
    read = policy(daily()).properties
    assert read["schedulePolicy"]["scheduleRunTimes"] == ["2024-04-28T16:30:00Z"]
    assert read["retentionPolicy"]["dailySchedule"]["retentionTimes"] == ["2024-04-28T16:30:00Z"]


@pytest.mark.parametrize(
    ("properties", "days"),
    [(daily(), 2), (hourly(), 7), (daily(instantRpRetentionRangeInDays=5), 5)],
)
def test_instant_days_have_defaults(properties: dict[str, Any], days: int) -> None:
    assert policy(properties).instant_days == days


@pytest.mark.parametrize(
    ("properties", "most"),
    [(daily(), 5), (hourly(4), 17), (hourly(6), 22), (hourly(12), 30)],
)
def test_instant_days_have_a_most(properties: dict[str, Any], most: int) -> None:
    properties["retentionPolicy"]["dailySchedule"] = kept(60, "Days")
    assert policy({**properties, "instantRpRetentionRangeInDays": most}).instant_days == most
    error = refusal({**properties, "instantRpRetentionRangeInDays": most + 1})
    assert error.code == "UserErrorInvalidRequestParameter"


def test_a_weekly_standard_policy_has_no_choice_of_instant_days() -> None:
    assert policy(weekly(["Sunday"])).instant_days == 5
    for days in (4, 6):
        error = refusal({**weekly(["Sunday"]), "instantRpRetentionRangeInDays": days})
        assert error.code == "UserErrorInvalidRequestParameter"


def test_the_instant_tier_never_outlasts_the_vault() -> None:
    error = refusal({**hourly(12), "instantRpRetentionRangeInDays": 30})
    assert error.code == "BMSUserErrorInstantRPRetentionExceedsVaultedRetention"


def _odd_time() -> dict[str, Any]:
    properties = daily()
    properties["schedulePolicy"]["scheduleRunTimes"] = ["2024-04-28T16:31:00Z"]
    return properties


@pytest.mark.parametrize(
    "properties",
    [
        daily(6),
        daily(10000),
        daily(timeZone="Europe/Berlin"),
        daily(schedulePolicy={}),
        daily(policyType="V2"),
        {**hourly(), "policyType": "V1"},
        hourly(5),
        hourly(12, 8),
        _odd_time(),
        weekly([]),
        weekly(["Sonntag"]),
        weekly(["Sunday"], dailySchedule=kept(30, "Days")),
        weekly(["Sunday"], monthlySchedule=kept(1189, "Months")),
        weekly(["Sunday"], monthlySchedule=kept(1, "Months")),
    ],
)
def test_what_azure_refuses_is_refused_with_its_one_code(properties: dict[str, Any]) -> None:
    error = refusal(properties)
    assert (error.status, error.code) == (400, "BMSUserErrorInvalidPolicyInput")
    assert error.body["error"]["details"][0]["message"], "here the reason is said"


@pytest.mark.parametrize("name", ["ab", "ends-", "with space", "x" * 151])
def test_names(name: str) -> None:
    assert refusal(daily(), name).status == 400


def test_other_workloads_are_not_supported() -> None:
    assert refusal({"backupManagementType": "AzureWorkload"}).status == 501


def test_enhanced_never_becomes_standard() -> None:
    enhanced = policy(hourly())
    with pytest.raises(ArmError):
        read_policy("gold", {"properties": daily()}, enhanced)
    assert read_policy("gold", {"properties": hourly(6)}, enhanced).kind == "V2"


def at(text: str) -> datetime:
    return datetime.fromisoformat(text).replace(tzinfo=UTC)


def test_the_next_run_of_a_daily_policy_is_by_its_own_zone() -> None:
    berlin = policy(daily(timeZone="W. Europe Standard Time"))
    assert next_run(berlin, at("2024-05-13T10:00:00")) == at("2024-05-13T14:30:00")
    assert next_run(berlin, at("2024-05-13T14:30:00")) == at("2024-05-14T14:30:00")
    assert next_run(berlin, at("2024-12-13T10:00:00")) == at("2024-12-13T15:30:00")


def test_the_next_run_of_an_hourly_policy_stays_in_its_window() -> None:
    runs, now = [], at("2024-05-13T07:00:00")
    for _ in range(5):
        now = next_run(policy(hourly()), now)
        runs.append(f"{now:%d %H:%M}")
    assert runs == ["13 08:00", "13 12:00", "13 16:00", "13 20:00", "14 08:00"]


def test_the_next_run_of_a_weekly_policy() -> None:
    run = next_run(policy(weekly(["Sunday", "Tuesday"])), at("2024-05-13T10:00:00"))
    assert run == at("2024-05-14T16:30:00")


def test_a_point_is_kept_by_the_longest_of_the_rules_that_tag_it() -> None:
    sunday = {"daysOfTheWeek": ["Sunday"], "weeksOfTheMonth": ["First"]}
    properties = daily()
    properties["retentionPolicy"] |= {
        "weeklySchedule": kept(12, "Weeks", daysOfTheWeek=["Sunday"]),
        "monthlySchedule": kept(
            60, "Months", retentionScheduleFormatType="Weekly", retentionScheduleWeekly=sunday
        ),
        "yearlySchedule": kept(
            10,
            "Years",
            monthsOfYear=["January"],
            retentionScheduleFormatType="Daily",
            retentionScheduleDaily={"daysOfTheMonth": [{"date": 0, "isLast": True}]},
        ),
    }
    read = policy(properties)
    days = {
        day: (keep_until(read, at(f"{day}T16:30:00")) - at(f"{day}T16:30:00")).days
        for day in ("2024-05-13", "2024-05-19", "2024-05-05", "2024-01-31", "2024-02-29")
    }
    assert list(days.values()) == [30, 84, 60 * 31, 3650, 30]


async def test_a_new_vault_has_three_and_counts_items_only_when_asked_for_one() -> None:
    world = World()
    vm = world.cloud.add("vm1", b"")
    await world.make_vault()
    await world.protect(vm)
    listed = (await world.get(f"{VAULT}/backupPolicies"))["value"]
    assert [each["name"] for each in listed] == [
        "HourlyLogBackup",
        "DefaultPolicy",
        "EnhancedPolicy",
    ]
    assert {each["properties"]["protectedItemsCount"] for each in listed} == {0}
    one = await world.get(f"{VAULT}/backupPolicies/DefaultPolicy")
    assert one["properties"]["protectedItemsCount"] == 1


async def test_deleting_policies() -> None:
    world = World()
    vm = world.cloud.add("vm1", b"")
    await world.make_vault()
    await world.protect(vm)
    path = f"{VAULT}/backupPolicies"
    in_use = await world.refused("DELETE", f"{path}/DefaultPolicy")
    assert in_use.status == 400
    await world.answer("PUT", f"{path}/gold", {"properties": daily()})
    deleted = await world.answer("DELETE", f"{path}/gold")
    assert (deleted.status, deleted.body) == (200, None)
    assert (await world.answer("DELETE", f"{path}/gold")).status == 204
    assert (await world.refused("GET", f"{path}/gold")).status == 404
