"""Durable orchestrations through the real SDK and its client, on a host of its own process."""

import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.stack.host_apps.process import HostProcess, running, wait_until

pytestmark = pytest.mark.stack


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[HostProcess]:
    with running("durable", tmp_path_factory.mktemp("durable")) as host:
        yield host


def run(host: HostProcess, name: str, payload: Any = None, **query: str) -> Any:
    answer = host.post(f"/api/run/{name}{_query(query)}", payload)
    assert answer.status == 200, (answer, host.log)
    # The client answers an output that is text as it is, any other as JSON.
    text = answer.body.decode()
    return answer.json if text[:1] in '[{"0123456789' else text


def start(host: HostProcess, name: str, payload: Any = None, **query: str) -> str:
    answer = host.post(f"/api/start/{name}{_query(query)}", payload)
    assert answer.status == 202, (answer, host.log)
    instance_id: str = answer.json["id"]
    return instance_id


def status(host: HostProcess, instance_id: str) -> Any:
    return host.get(f"/api/status/{instance_id}").json


def ended(host: HostProcess, instance_id: str) -> Any:
    def look() -> Any:
        found = status(host, instance_id)
        return found["status"] in ("Completed", "Failed", "Terminated") and found

    return wait_until(look, lambda: host.log)


def has_status(host: HostProcess, instance_id: str, wanted: str) -> None:
    wait_until(lambda: status(host, instance_id)["status"] == wanted, lambda: host.log)


def _query(query: dict[str, str]) -> str:
    return "?" + "&".join(f"{key}={value}" for key, value in query.items())


def test_a_chain_of_activities_ends_with_its_output(host: HostProcess) -> None:
    assert run(host, "chain", 5, id="chain-1") == {"number": 40, "greeting": "hello Ada"}
    found = status(host, "chain-1")
    assert found["status"] == "Completed"
    assert found["custom"] == {"at": "end"}
    assert found["input"] == "5"
    kinds = [item["EventType"] for item in found["history"]]
    assert kinds == ["ExecutionStarted"] + ["TaskCompleted"] * 4 + ["ExecutionCompleted"]
    assert found["history"][1]["FunctionName"] == "double"
    assert found["history"][1]["Result"] == 10


def test_fan_out_and_in(host: HostProcess) -> None:
    assert run(host, "fan_out") == 380


def test_a_retried_activity_succeeds_and_ids_stay_in_step(host: HostProcess) -> None:
    assert run(host, "retries", {"key": "two", "failures": 2}) == ["attempt 3", 8]


def test_retries_that_are_exhausted_raise_in_the_orchestrator(host: HostProcess) -> None:
    first, second = run(host, "retries", {"key": "many", "failures": 9})
    assert first.startswith("gave up: Activity function 'flaky' failed: ValueError: attempt 3")
    assert second == 8
    assert host.notes.count("flaky many") == 3


def test_two_sub_orchestrations(host: HostProcess) -> None:
    results = run(host, "two_subs", id="subs")
    assert [result["number"] for result in results] == [8, 16]
    assert status(host, "subs-a")["status"] == "Completed"


def test_failure_is_reported_and_reaches_the_parent(host: HostProcess) -> None:
    found = ended(host, start(host, "failing"))
    assert found["status"] == "Failed"
    assert found["output"] == "Orchestrator function 'failing' failed: no good"
    assert "no good" in run(host, "parent_of_failing")


def test_an_event_wins_against_its_timer(host: HostProcess) -> None:
    instance = start(host, "approval", 60)
    assert host.post(f"/api/do/raise/{instance}?event=answer", {"ok": True}).status == 200
    found = ended(host, instance)
    # The client encodes the payload twice, so the orchestrator gets a JSON string.
    assert found["output"] == ['{"ok": true}', "hello after"]


def test_a_timer_wins_against_its_event(host: HostProcess) -> None:
    started = time.monotonic()
    assert run(host, "approval", 0.5) == "too late"
    assert time.monotonic() - started >= 0.5


def test_continue_as_new(host: HostProcess) -> None:
    assert run(host, "counter", 0, id="counter") == 5
    assert len(status(host, "counter")["history"]) == 3


def test_an_existing_instance_is_a_conflict_until_it_has_ended(host: HostProcess) -> None:
    start(host, "approval", 60, id="only-one")
    again = host.post("/api/start/approval?id=only-one", 60)
    assert again.status == 500
    assert b"already exists" in again.body
    rpc = host.post(f"{_webhook(host)}/orchestrators/approval/only-one?{_code(host)}", "60")
    assert rpc.status == 409
    assert host.post("/api/do/terminate/only-one").status == 200
    found = ended(host, "only-one")
    assert (found["status"], found["output"]) == ("Terminated", "because")
    assert run(host, "chain", 1, id="only-one")["number"] == 8


def test_suspended_instances_wait_for_resume(host: HostProcess) -> None:
    instance = start(host, "approval", 60)
    has_status(host, instance, "Running")
    host.post(f"/api/do/suspend/{instance}")
    has_status(host, instance, "Suspended")
    host.post(f"/api/do/raise/{instance}?event=answer", 1)
    time.sleep(0.3)
    assert status(host, instance)["status"] == "Suspended"
    host.post(f"/api/do/resume/{instance}")
    assert ended(host, instance)["output"] == ["1", "hello after"]


def test_unknown_and_ended_instances_are_told_apart(host: HostProcess) -> None:
    assert status(host, "nobody")["known"] is False
    unknown = host.post("/api/do/raise/nobody?event=x", 1)
    assert b"No instance with ID nobody found" in unknown.body
    run(host, "fan_out", id="over")
    gone = host.post("/api/do/raise/over?event=x", 1)
    assert b"is gone" in gone.body
    base = f"{_webhook(host)}/instances"
    assert host.post(f"{base}/over/terminate?{_code(host)}").status == 410
    assert host.get(f"{base}/nobody?{_code(host)}").status == 404


def test_purge_forgets_an_ended_instance_only(host: HostProcess) -> None:
    run(host, "fan_out", id="to-purge")
    assert host.post("/api/do/purge/to-purge").json == 1
    assert host.post("/api/do/purge/to-purge").json == 0
    instance = start(host, "approval", 60)
    assert host.post(f"/api/do/purge/{instance}").status == 500
    host.post(f"/api/do/terminate/{instance}")


def test_an_ended_instance_is_restarted_with_its_input(host: HostProcess) -> None:
    run(host, "chain", 3, id="again")
    url = f"{_webhook(host)}/instances/again/restart?{_code(host)}"
    afresh = host.post(f"{url}&restartWithNewInstanceId=true")
    assert afresh.status == 202
    assert ended(host, afresh.json["id"])["output"]["number"] == 24
    same = host.post(f"{url}&restartWithNewInstanceId=false&timeout=10")
    assert same.json["number"] == 24
    assert host.post(url.replace("again", "nobody")).status == 400


def test_instances_are_found_by_status_and_prefix(host: HostProcess) -> None:
    run(host, "fan_out", id="find-me-1")
    run(host, "fan_out", id="find-me-2")
    found = host.get("/api/instances?status=Completed&prefix=find-me").json
    assert found == ["find-me-1", "find-me-2"]
    assert host.get("/api/instances?status=Failed&prefix=find-me").json == []


def test_what_the_host_does_not_know_fails_with_a_reason(host: HostProcess) -> None:
    missing = host.post("/api/start/nowhere")
    assert b"The function 'nowhere' doesn't exist" in missing.body
    assert "nowhere" in ended(host, start(host, "unknown_activity"))["output"]
    assert "CALL_HTTP" in ended(host, start(host, "http_caller"))["output"]


def test_large_inputs_pass(host: HostProcess) -> None:
    assert run(host, "size", "x" * 3_000_000) == 3_000_006


def test_the_trace_of_the_caller_reaches_activities(host: HostProcess) -> None:
    trace = "0af7651916cd43dd8448eb211c80319c"
    header = f"00-{trace}-b7ad6b7169203331-01"
    url = f"{_webhook(host)}/orchestrators/traced/traced-1?{_code(host)}&timeout=10"
    answer = host.post(url, traceparent=header)
    assert answer.status == 200
    assert answer.json.split("-")[1] == trace
    assert answer.json != header


def test_the_public_api_needs_its_key_and_takes_raw_json(host: HostProcess) -> None:
    base = _webhook(host)
    assert host.post(f"{base}/orchestrators/chain", 1).status == 401
    started = host.post(f"{base}/orchestrators/approval/raw?{_code(host)}", "60")
    assert started.status == 202
    assert started.json["id"] == "raw"
    running_now = host.get(started.json["statusQueryGetUri"])
    assert running_now.status == 202
    event = started.json["sendEventPostUri"].replace("{eventName}", "answer")
    assert host.request("POST", event, b"1", {"Content-Type": "text/plain"}).status == 400
    assert host.post(event, {"raw": 1}).status == 202
    assert ended(host, "raw")["output"][0] == {"raw": 1}


def test_kill_and_restart_resumes_what_was_running(tmp_path: Path) -> None:
    with running("durable", tmp_path / "kill") as host:
        waiting = start(host, "approval", 60)
        sleeping = start(host, "approval", 2.0)
        slow = start(host, "slow_chain", "k")
        wait_until(lambda: "slow k-1" in host.notes)
        host.kill()
        time.sleep(0.2)
        host.start()
        assert ended(host, slow)["output"] == ["k-1", "k-2"]
        assert host.notes.count("slow k-1") == 2
        assert host.notes.count("slow k-1 done") == 1
        assert ended(host, sleeping)["output"] == "too late"
        host.post(f"/api/do/raise/{waiting}?event=answer", "yes")
        assert ended(host, waiting)["output"][0] == '"yes"'
        assert host.stop() == 0


def test_sigterm_waits_for_the_running_activity(tmp_path: Path) -> None:
    with running("durable", tmp_path / "drain") as host:
        instance = start(host, "slow_chain", "d")
        wait_until(lambda: "slow d-1" in host.notes)
        assert host.stop() == 0
        assert "slow d-1 done" in host.notes
        assert "slow d-2" not in host.notes
        host.start()
        assert ended(host, instance)["output"] == ["d-1", "d-2"]
        assert host.notes.count("slow d-1") == 1
        assert "Unclosed" not in host.log


def test_what_does_not_end_in_time_is_abandoned_and_runs_again(tmp_path: Path) -> None:
    with running("durable", tmp_path / "abandon") as host:
        host.stop()
        host.drain_seconds = 0.1
        host.start()
        instance = start(host, "slow_chain", "a")
        wait_until(lambda: "slow a-1" in host.notes)
        assert host.stop() == 0
        assert "abandoned: 1 invocations did not end" in host.log
        assert "slow a-1 done" not in host.notes
        host.start()
        assert ended(host, instance)["output"] == ["a-1", "a-2"]


def _webhook(host: HostProcess) -> str:
    return "/runtime/webhooks/durabletask"


def _code(host: HostProcess) -> str:
    return f"code={host.keys['durable']}"
