"""HTTP and timer triggers, keys and the admin endpoints, on a host of its own process."""

import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from tests.stack.host_apps.process import APPS, HostProcess, free_port, running, wait_until

pytestmark = pytest.mark.stack

SETTINGS = {
    "HOURLY": "0 0 * * * *",
    "AzureWebJobs.switched_off.Disabled": "true",
}


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    folder = tmp_path_factory.mktemp("triggers")
    with running("triggers", folder, **SETTINGS) as host:
        yield host


def test_a_function_sees_the_request_and_its_context(host: HostProcess) -> None:
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    answer = host.request(
        "PUT",
        "/v1/Echo/thing/7?a=1&b=x%20y",
        b"text",
        {"X-Mixed-Case": "Kept", "traceparent": trace, "tracestate": "k=v"},
    )
    assert answer.status == 201
    seen = answer.json
    assert (seen["method"], seen["body"], seen["header"]) == ("PUT", "text", "Kept")
    assert seen["params"] == {"a": "1", "b": "x y"}
    assert seen["route"] == {"kind": "thing", "id": "7"}
    assert seen["url"].startswith(f"http://127.0.0.1:{host.port}/v1/Echo/thing/7?a=1")
    assert seen["function"] == "echo"
    assert seen["thread"] == "functions"
    assert Path(seen["directory"]) == Path(seen["cwd"]) == APPS / "triggers"
    assert seen["trace"].split("-")[1] == trace.split("-")[1]
    assert seen["trace"] != trace
    assert (seen["state"], seen["retry"]) == ("k=v", 0)
    assert answer.headers["X-Answer"] == "yes"
    assert answer.headers["Content-Type"] == "application/json"
    assert answer.headers["Set-Cookie"] == "a=b; Path=/"


def test_routes_match_as_in_the_host(host: HostProcess) -> None:
    assert host.get("/v1/echo/thing").json["route"] == {"kind": "thing"}
    assert host.get("/v1/echo/thing/seven").status == 404
    assert host.get("/v1/echo/123").status == 404
    assert host.get("/v1/echo/special").body == b"special on function"
    assert host.get("/v1/files/a/b.txt").body == b"a/b.txt"
    assert host.get("/v1/files").body == b"none"
    assert host.get("/api/echo/thing").status == 404


def test_another_method_is_not_found(host: HostProcess) -> None:
    assert host.post("/v1/echo/special").status == 201  # the general route takes it
    assert host.get("/v1/keyed").status == 404


def test_function_and_admin_keys(host: HostProcess) -> None:
    keys = host.keys
    assert host.post("/v1/keyed").status == 401
    assert host.post("/v1/keyed?code=wrong").status == 401
    assert host.post(f"/v1/keyed?code={keys['functions']['keyed']}").status == 200
    assert host.post(f"/v1/keyed?code={keys['functions']['guarded']}").status == 401
    assert host.request("POST", "/v1/keyed", b"", {"x-functions-key": keys["host"]}).status == 200
    assert host.get(f"/v1/guarded?code={keys['functions']['guarded']}").status == 401
    assert host.get(f"/v1/guarded?code={keys['master']}").status == 200


def test_a_failing_function_is_a_500_and_a_logged_traceback(host: HostProcess) -> None:
    answer = host.get("/v1/broken")
    assert (answer.status, answer.body) == (500, b"")
    assert "KeyError: 'what I looked for'" in host.log
    assert "raise KeyError" in host.log
    assert host.get("/v1/nothing").status == 500
    assert "cannot take a NoneType" in host.log


def test_async_functions_run_side_by_side(host: HostProcess) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(host.get, ["/v1/sleepy"] * 4))
    assert [answer.body for answer in answers] == [b"awake"] * 4
    assert time.monotonic() - started < 3
    assert "sleepy begins" in host.log


def test_status_and_listing(host: HostProcess) -> None:
    status = host.get("/admin/host/status").json
    assert status["state"] == "Running"
    assert status["errors"] == [
        "unset: setting 'NOT_THERE', needed by '%NOT_THERE%', does not exist"
    ]
    listed = {one["name"]: one for one in host.get("/admin/functions").json}
    assert "echo" in listed
    disabled = [name for name, one in listed.items() if one["isDisabled"]]
    assert disabled == ["switched_off"]
    trigger = listed["echo"]["config"]["bindings"][0]
    assert trigger["type"] == "httpTrigger"
    assert trigger["route"] == "echo/{kind:alpha}/{id:int?}"


def test_a_timer_is_triggered_by_hand(host: HostProcess) -> None:
    master = host.keys["master"]
    assert host.post("/admin/functions/hourly", {"input": ""}).status == 401
    path = "/admin/functions/{}?code=" + master
    assert host.post(path.format("Hourly"), {"input": ""}).status == 202
    assert host.post(path.format("nobody"), {"input": ""}).status == 404
    assert host.post(path.format("echo"), {"input": ""}).status == 400
    wait_until(lambda: "hourly False 0001" in host.notes)


def test_a_timer_never_overlaps_itself(host: HostProcess) -> None:
    wait_until(lambda: host.notes.count("tick ends") >= 2)
    ticks = [note for note in host.notes if note.startswith("tick")]
    assert ticks[:4] == ["tick begins", "tick ends", "tick begins", "tick ends"]
    assert "never" not in host.notes


def test_run_on_startup_with_retries(host: HostProcess) -> None:
    wait_until(lambda: "starting 2 of 2" in host.notes)
    lines = [note for note in host.notes if note.startswith("starting")]
    assert lines == ["starting 0 of 2", "starting 1 of 2", "starting 2 of 2"]


def test_a_missed_run_happens_once_after_a_stop(tmp_path: Path) -> None:
    with running("triggers", tmp_path / "late", **SETTINGS) as host:
        assert host.stop() == 0
        assert not [note for note in host.notes if note.startswith("hourly")]
        _age_schedule(host.folder / "data" / "timers.db", "hourly")
        host.start()
        wait_until(lambda: "hourly True 2020" in host.notes)
        # A death before the run is remembered would rightly run it again.
        wait_until(lambda: _has_run(host.folder / "data" / "timers.db", "hourly"))
        host.kill()
        host.start()
        time.sleep(0.5)
        assert len([note for note in host.notes if note.startswith("hourly")]) == 1


def test_sigterm_lets_the_request_finish(tmp_path: Path) -> None:
    with (
        running("triggers", tmp_path / "drain", **SETTINGS) as host,
        ThreadPoolExecutor(1) as pool,
    ):
        answer = pool.submit(host.get, "/v1/sleepy")
        wait_until(lambda: "sleepy" in host.notes)
        assert host.stop() == 0
        assert answer.result().body == b"awake"
        assert "sleepy done" in host.notes


def test_a_port_or_a_data_directory_in_use_is_told(host: HostProcess, tmp_path: Path) -> None:
    same_port = _failing_start(host.app, tmp_path / "data", host.port)
    assert f"cannot listen on 127.0.0.1:{host.port}: Address already in use" in same_port
    same_data = _failing_start(host.app, host.folder / "data", free_port())
    assert "another host uses" in same_data


def test_an_app_without_function_app_is_told(tmp_path: Path) -> None:
    assert "host.json not found" in _failing_start(tmp_path, tmp_path / "data", free_port())
    (tmp_path / "host.json").write_text('{"version": "2.0"}')
    assert "no function_app.py" in _failing_start(tmp_path, tmp_path / "data", free_port())
    (tmp_path / "function_app.py").write_text("import nowhere_to_be_found")
    told = _failing_start(tmp_path, tmp_path / "data", free_port())
    assert "ModuleNotFoundError" in told
    assert "nowhere_to_be_found" in told


def _failing_start(app: Path, data: Path, port: int) -> str:
    command = [sys.executable, "-m", "local.host", "--app-dir", str(app), "--data-dir", str(data)]
    done = subprocess.run(
        [*command, "--port", str(port)], capture_output=True, text=True, timeout=20
    )
    assert done.returncode == 1, done
    return done.stderr


def _has_run(path: Path, function: str) -> bool:
    """Whether the host remembers a run since the schedule was aged."""
    with sqlite3.connect(path) as db:
        (last,) = db.execute("SELECT last FROM timers WHERE function = ?", (function,)).fetchone()
    return not str(last).startswith("2020-")


def _age_schedule(path: Path, function: str) -> None:
    """Make the stored schedule look as if the host had been away since its last run."""
    missed = datetime.now(UTC) - timedelta(hours=2)
    with sqlite3.connect(path) as db:
        changed = db.execute(
            "UPDATE timers SET last = '2020-01-01T00:00:00+00:00', next = ? WHERE function = ?",
            (missed.isoformat(), function),
        )
        assert changed.rowcount == 1
