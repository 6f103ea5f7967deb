"""The policy document: what it means, and how a wrong one is refused."""

import json
from dataclasses import replace
from datetime import time
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from shared.codec import from_json, to_json
from shared.contracts.policy import DEFAULT_DOCUMENT, default_policy, parse_policy
from shared.contracts.schemas import schemas, write_schemas
from shared.contracts.yaml_text import read_yaml
from shared.model.errors import Invalid
from shared.model.policy import Policy, RetentionRule, Rule, Schedule, Week, Weekday

GOLD = """
name: gold
time_zone: Europe/Berlin
schedule: {frequency: daily, at: ["02:00"]}
instant_restore_days: 2
consistency: application
retention:
  daily:   {keep: 30}
  weekly:  {keep: 104, on: [sunday]}
  monthly: {keep: 120, week: last, on: sunday}
  yearly:  {keep: 99, months: [january], week: first, on: sunday}
"""
SUNDAY = frozenset({Weekday.SUNDAY})


def with_schedule(schedule: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {**DEFAULT_DOCUMENT, "schedule": schedule, **more}


def with_retention(**rules: Any) -> dict[str, Any]:
    return {**DEFAULT_DOCUMENT, "retention": {"daily": {"keep": 30}, **rules}}


def clocks(policy: Policy) -> list[str]:
    return [at.strftime("%H:%M") for at in policy.schedule.at]


def test_the_designs_document() -> None:
    policy = parse_policy(GOLD)
    assert (policy.name, policy.time_zone, policy.version) == ("gold", "Europe/Berlin", 1)
    assert (policy.consistency, policy.instant_restore_days) == ("application", 2)
    assert policy.schedule == Schedule(at=(time(2),))
    assert policy.retention == (
        RetentionRule(rule=Rule.DAILY, keep=30),
        RetentionRule(rule=Rule.WEEKLY, keep=104, on=SUNDAY),
        RetentionRule(rule=Rule.MONTHLY, keep=120, on=SUNDAY, week=Week.LAST),
        RetentionRule(rule=Rule.YEARLY, keep=99, on=SUNDAY, week=Week.FIRST, months=frozenset({1})),
    )


def test_the_default_is_daily_30_days_instant_restore_2_days() -> None:
    policy = default_policy()
    assert (policy.name, clocks(policy), policy.instant_restore_days) == ("default", ["02:00"], 2)
    assert policy.retention == (RetentionRule(rule=Rule.DAILY, keep=30),)


def test_a_policys_own_document_means_the_same_policy() -> None:
    policy = parse_policy(GOLD)
    assert parse_policy(policy.document) == policy
    assert parse_policy(json.dumps(policy.document)) == policy
    assert from_json(Policy, to_json(policy)) == policy


@pytest.mark.parametrize(
    ("schedule", "expected"),
    [
        ({"frequency": "daily", "at": ["12:30", "02:00", "02:00"]}, ["02:00", "12:30"]),
        (
            {"frequency": "hourly", "every_hours": 4, "from": "08:00", "window_hours": 12},
            ["08:00", "12:00", "16:00", "20:00"],
        ),
        (
            {"frequency": "hourly", "every_hours": 6, "from": "22:15"},
            ["04:15", "10:15", "16:15", "22:15"],
        ),
        (
            {"frequency": "hourly", "every_hours": 8, "from": "20:00", "window_hours": 8},
            ["04:00", "20:00"],
        ),
        ({"frequency": "hourly", "every_hours": 24}, ["08:00"]),
        ({"frequency": "hourly", "every_hours": 12}, ["08:00", "20:00"]),
    ],
)
def test_every_schedule_comes_down_to_times_of_day(
    schedule: dict[str, Any], expected: list[str]
) -> None:
    policy = parse_policy(with_schedule(schedule))
    assert clocks(policy) == expected
    assert policy.schedule.on == frozenset(Weekday)


def test_a_weekly_schedule_has_its_days() -> None:
    policy = parse_policy(
        "{name: weekly, schedule: {frequency: weekly, on: [sunday, monday], at: [22:30]},"
        " retention: {weekly: {keep: 4, on: [monday, sunday]}}}"
    )
    assert policy.schedule == Schedule(at=(time(22, 30),), on=SUNDAY | {Weekday.MONDAY})


def test_yaml_is_read_as_people_mean_it() -> None:
    text = "{on: no, at: [12:30, 02:00], keep: 30, really: true, nothing: ~, day: 2026-11-21}"
    assert read_yaml(text) == {
        "on": "no",
        "at": ["12:30", "02:00"],
        "keep": 30,
        "really": True,
        "nothing": None,
        "day": "2026-11-21",
    }


def test_one_weekday_or_month_needs_no_list() -> None:
    listed = with_retention(
        yearly={"keep": 1, "months": ["june"], "week": "last", "on": ["friday"]}
    )
    single = with_retention(yearly={"keep": 1, "months": "june", "week": "last", "on": "friday"})
    assert parse_policy(single) == parse_policy(listed)


def test_the_last_day_of_the_month_is_day_nought() -> None:
    policy = parse_policy(with_retention(monthly={"keep": 1, "day": "last"}))
    assert policy.retention[1] == RetentionRule(rule=Rule.MONTHLY, keep=1, day=0)


HOURLY = {"frequency": "hourly", "every_hours": 4}


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ({**DEFAULT_DOCUMENT, "colour": 1}, "colour is not a field here; the fields are name,"),
        ({"name": "abc"}, "schedule is missing; retention is missing"),
        ({**DEFAULT_DOCUMENT, "name": "a"}, "name 'a' is not a policy name: 3 to 150 letters"),
        ({**DEFAULT_DOCUMENT, "time_zone": "Europe/Berln"}, "did you mean Europe/Berlin"),
        ({**DEFAULT_DOCUMENT, "time_zone": "europe/berlin"}, "did you mean Europe/Berlin?"),
        ({**DEFAULT_DOCUMENT, "time_zone": "../etc"}, "not a time zone of the IANA database"),
        ({**DEFAULT_DOCUMENT, "time_zone": ""}, "not a time zone of the IANA database"),
        ({**DEFAULT_DOCUMENT, "consistency": "full"}, "consistency must be 'application'"),
        ({**DEFAULT_DOCUMENT, "instant_restore_days": 0}, "instant_restore_days must be a whole"),
        ({**DEFAULT_DOCUMENT, "instant_restore_days": 6}, "from 1 to 5 days for this schedule"),
        ({**DEFAULT_DOCUMENT, "instant_restore_days": True}, "from 1 to 30 days"),
        (with_schedule(HOURLY, instant_restore_days=18), "from 1 to 17 days"),
        (with_schedule({**HOURLY, "every_hours": 6}, instant_restore_days=23), "from 1 to 22 days"),
        (
            with_schedule(
                {**HOURLY, "every_hours": 8},
                instant_restore_days=30,
                retention={"daily": {"keep": 29}},
            ),
            "instant_restore_days must not be more than the 29 days kept",
        ),
        (with_schedule({"at": ["02:00"]}), "schedule must say its 'frequency'"),
        (with_schedule({"frequency": "yearly"}), "one of 'daily', 'weekly', 'hourly'"),
        (with_schedule({"frequency": "daily", "at": []}), "schedule.at must have at least 1"),
        (with_schedule({"frequency": "daily", "at": "02:00"}), "schedule.at must be a list"),
        (with_schedule({"frequency": "daily", "at": ["24:00"]}), 'from "00:00" to "23:59"'),
        (with_schedule({"frequency": "daily", "at": ["2:00"]}), "schedule.at.0 must be a time"),
        (with_schedule({**HOURLY, "every_hours": 5}), "must be one of 4, 6, 8, 12, 24 hours"),
        (with_schedule({**HOURLY, "window_hours": 25}), "window_hours must be a whole number"),
        (
            with_schedule({**HOURLY, "every_hours": 12, "window_hours": 8}),
            "from 12 (every_hours) to 24",
        ),
        (
            with_schedule({"frequency": "weekly", "on": ["sun"], "at": ["02:00"]}),
            "schedule.on must be one or several of monday, tuesday",
        ),
        (with_retention(daily={"keep": 6}), "retention.daily.keep must be a whole number from 7"),
        (with_retention(daily={"keep": 10000}), "from 7 to 9999 days"),
        (with_retention(daily={"keep": "30"}), "from 7 to 9999 days"),
        (with_retention(weekly={"keep": 5164, "on": ["sunday"]}), "from 1 to 5163 weeks"),
        (with_retention(monthly={"keep": 1189, "day": 1}), "from 1 to 1188 months"),
        (with_retention(yearly={"keep": 100, "months": "june", "day": 1}), "from 1 to 99 years"),
        (with_retention(monthly={"keep": 1, "day": 29}), 'from 1 to 28, or "last"'),
        (with_retention(monthly={"keep": 1}), "retention.monthly must say either week and on"),
        (
            with_retention(monthly={"keep": 1, "day": 1, "week": "last", "on": "sunday"}),
            "either week and on",
        ),
        (with_retention(monthly={"keep": 1, "week": "fifth", "on": "sunday"}), "one of first,"),
        (with_retention(yearly={"keep": 1, "months": ["jan"], "day": 1}), "several of january,"),
        ({**DEFAULT_DOCUMENT, "retention": {}}, "retention.daily is missing"),
        (
            with_schedule(
                {"frequency": "weekly", "on": "sunday", "at": ["02:00"]},
                retention={"weekly": {"keep": 4, "on": "monday"}},
            ),
            "retention.weekly must list sunday too",
        ),
        (
            with_schedule(
                {"frequency": "weekly", "on": "sunday", "at": ["02:00"]},
                retention={"daily": {"keep": 30}, "weekly": {"keep": 4, "on": "monday"}},
            ),
            "retention.weekly.on lists monday, without a backup then",
        ),
        (
            with_schedule(
                {"frequency": "weekly", "on": "sunday", "at": ["02:00"]},
                retention={"daily": {"keep": 30}, "monthly": {"keep": 4, "day": 1}},
            ),
            "retention.monthly must say week and on",
        ),
        ("- a list", "a policy is an object"),
        ("", "a policy is an object"),
        ("name: a\nname: b", "'name' is given twice at line 2"),
        ("name: [", "not YAML or JSON"),
        ("[" * 5000, "nested too deeply"),
        ("x: !!python/object:os.system 1", "not YAML or JSON"),
        ("#" * 70_000, "over 65536 characters"),
    ],
)
def test_a_wrong_document_is_refused_with_field_and_range(document: Any, words: str) -> None:
    with pytest.raises(Invalid) as caught:
        parse_policy(document)
    assert words in str(caught.value)


def test_the_published_schemas_are_up_to_date() -> None:
    folder = Path(__file__).parents[2] / "docs" / "schemas"
    published = {path.name: path.read_text(encoding="utf-8") for path in folder.glob("*.json")}
    assert published == schemas(), "run `python -m shared.contracts`"


def test_the_schema_takes_the_documents_that_the_contract_takes(tmp_path: Path) -> None:
    write_schemas(tmp_path)
    schema = json.loads((tmp_path / "policy.json").read_text(encoding="utf-8"))
    for document in (read_yaml(GOLD), dict(DEFAULT_DOCUMENT), with_schedule(HOURLY)):
        jsonschema.validate(document, schema)
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(with_retention(daily={"keep": 6}), schema)


def test_the_order_of_times_is_no_change() -> None:
    one = parse_policy(with_schedule({"frequency": "daily", "at": ["02:00", "12:00"]}))
    other = parse_policy(with_schedule({"frequency": "daily", "at": ["12:00", "02:00"]}))
    assert one == other
    assert one != replace(one, version=2)
