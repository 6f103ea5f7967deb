"""Schedules, settings, routes and keys of the functions host: pure parts."""

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from local.host.keys import load_keys
from local.host.routes import parse_route
from local.host.schedule import ScheduleStatus, is_monitored, is_past_due, parse_schedule
from local.host.settings import AppSettings, SettingsError, parse_timespan, read_host_json
from local.host.tracing import new_span, parse_span, span_under

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.mark.parametrize(
    ("schedule", "following"),
    [
        ("*/10 * * * * *", ["00:00:10", "00:00:20"]),
        ("0 */5 * * * *", ["00:05:00", "00:10:00"]),
        ("*/5 * * * *", ["00:05:00", "00:10:00"]),
        ("30 15 6 * * *", ["06:15:30"]),
        ("01:30:00", ["01:30:00", "03:00:00"]),
    ],
)
def test_occurrences(schedule: str, following: list[str]) -> None:
    next_after, moment = parse_schedule(schedule), NOW
    for expected in following:
        moment = next_after(moment)
        assert f"{moment:%H:%M:%S}" == expected


def test_both_day_fields_must_match() -> None:
    first_of_month_on_monday = parse_schedule("0 0 9 1 * MON")(NOW)
    assert f"{first_of_month_on_monday:%Y-%m-%d}" == "2026-06-01"


@pytest.mark.parametrize("text", ["", "* * *", "61 * * * * *", "* * * * * * 2026", "soon", "0:0"])
def test_what_is_no_schedule_is_told(text: str) -> None:
    with pytest.raises(SettingsError, match="not a"):
        parse_schedule(text)


def test_short_intervals_are_not_monitored() -> None:
    assert is_monitored(None, parse_schedule("0 * * * * *"), NOW)
    assert not is_monitored(None, parse_schedule("*/30 * * * * *"), NOW)
    assert not is_monitored(None, parse_schedule("0,30 * * * * *"), NOW)
    assert not is_monitored(False, parse_schedule("0 0 * * * *"), NOW)


def test_past_due_needs_a_missed_occurrence_of_the_same_schedule() -> None:
    status = ScheduleStatus("a", None, NOW, NOW)
    assert is_past_due(status, "a", NOW + timedelta(seconds=1))
    assert not is_past_due(status, "a", NOW)
    assert not is_past_due(status, "b", NOW + timedelta(days=1))
    assert not is_past_due(None, "a", NOW)


def test_settings_expand_without_regard_to_case() -> None:
    settings = AppSettings({"Queue": "orders", "AzureWebJobsBus": "Endpoint=x"})
    assert settings.expand("in-%QUEUE%-%queue%") == "in-orders-orders"
    assert settings.expand("100%") == "100%"
    assert settings.connection("bus") == "Endpoint=x"
    with pytest.raises(SettingsError, match="'NoQueue'"):
        settings.expand("%NoQueue%")
    with pytest.raises(SettingsError, match="identity-based"):
        AppSettings({"Bus__fullyQualifiedNamespace": "x"}).connection("Bus")


def test_host_json_defaults_and_values(tmp_path: Path) -> None:
    path = tmp_path / "host.json"
    path.write_text('{"version": "2.0"}')
    plain = read_host_json(path, AppSettings({}), cores=2)
    assert plain.service_bus.max_concurrent_calls == 32
    assert plain.service_bus.auto_complete
    assert (plain.route_prefix, plain.durable.hub_name) == ("api", "TestHubName")
    assert plain.durable.max_concurrent_activities == 20
    path.write_text(
        '{"version": "2.0", "extensions": {"http": {"routePrefix": ""}, "durableTask":'
        ' {"hubName": "%Hub%"}, "serviceBus": {"maxConcurrentCalls": 3,'
        ' "autoCompleteMessages": false, "maxAutoLockRenewalDuration": "00:10:00"}}}'
    )
    told = read_host_json(path, AppSettings({"HUB": "Mine1"}), cores=2)
    assert (told.route_prefix, told.durable.hub_name) == ("", "Mine1")
    assert told.service_bus.max_concurrent_calls == 3
    assert not told.service_bus.auto_complete
    assert told.service_bus.max_auto_lock_renewal == timedelta(minutes=10)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{", "not valid JSON"),
        ("{}", "version"),
        ('{"version": "2.0", "extensions": []}', "must be an object"),
        ('{"version": "2.0", "extensions": {"durableTask": {"hubName": "%X%"}}}', "'X'"),
        ('{"version": "2.0", "extensions": {"durableTask": {"hubName": "a-b"}}}', "a-b"),
        (
            '{"version": "2.0", "extensions": {"serviceBus": {"maxConcurrentCalls": 0}}}',
            "maxConcurrentCalls",
        ),
    ],
)
def test_a_bad_host_json_is_told(tmp_path: Path, text: str, reason: str) -> None:
    (tmp_path / "host.json").write_text(text)
    with pytest.raises(SettingsError, match=reason):
        read_host_json(tmp_path / "host.json", AppSettings({}), cores=2)


def test_time_spans() -> None:
    assert parse_timespan("1.02:03:04.5") == timedelta(days=1, hours=2, minutes=3, seconds=4.5)


@pytest.mark.parametrize(
    ("template", "path", "parameters"),
    [
        ("api/items", "API/Items", {}),
        ("api/items/{id}", "api/items/a-b.c", {"id": "a-b.c"}),
        ("api/items/{id}", "api/items", None),
        ("api/items/{id}", "api/items/a/b", None),
        ("api/{id:int}/x", "api/12/x", {"id": "12"}),
        ("api/{id:int}/x", "api/one/x", None),
        ("api/{id:guid}", "api/0f8fad5b-d9cb-469f-a165-70867728950e", {"id": None}),
        ("api/{id?}", "api", {}),
        ("api/{id=7}", "api", {"id": "7"}),
        ("api/{*rest}", "api/a/b", {"rest": "a/b"}),
        ("api/{name}.{kind}", "api/disk.vhd", {"name": "disk", "kind": "vhd"}),
    ],
)
def test_routes(template: str, path: str, parameters: dict[str, str | None] | None) -> None:
    found = parse_route(template).match(path)
    if parameters is None or None not in parameters.values():
        assert found == parameters
    else:
        assert found
        assert found.keys() == parameters.keys()


@pytest.mark.parametrize("template", ["a/{id:regex(x)}", "a/{id", "a/{}"])
def test_a_route_that_cannot_be_served_is_told(template: str) -> None:
    with pytest.raises(SettingsError, match="route"):
        parse_route(template)


def test_keys_are_made_once(tmp_path: Path) -> None:
    path = tmp_path / "keys.json"
    first = load_keys(path, ["a"])
    again = load_keys(path, ["a", "b"])
    assert again.master == first.master
    assert again.functions["a"] == first.functions["a"]
    assert path.stat().st_mode & 0o077 == 0
    assert again.opens_function("a", first.functions["a"])
    assert not again.opens_function("b", first.functions["a"])
    assert not again.opens_function("unknown", "")
    assert not again.opens_admin(again.host)
    assert not again.opens_admin(None)
    assert again.opens_durable(again.durable)


def test_spans_continue_a_trace_or_begin_one() -> None:
    parent = new_span()
    child = span_under(parent.traceparent, "a=b")
    assert (child.trace_id, child.state) == (parent.trace_id, "a=b")
    assert child.span_id != parent.span_id
    assert parse_span("rubbish") is None
    assert parse_span(f"00-{'0' * 32}-{'1' * 16}-01") is None
    assert span_under("rubbish").trace_id != parent.trace_id
