"""A durable app: one orchestrator a feature, and HTTP functions that use the real client."""

import json
import os
import time
from collections.abc import Generator
from datetime import timedelta
from pathlib import Path
from typing import Any

import azure.durable_functions as df
import azure.functions as func

app = df.DFApp(http_auth_level=func.AuthLevel.ANONYMOUS)
Steps = Generator[Any, Any, Any]

_RETRY = df.RetryOptions(first_retry_interval_in_milliseconds=50, max_number_of_attempts=3)


def _note(line: str) -> int:
    """Append to the file the test reads; how many such lines there are now."""
    path = Path(os.environ["NOTES"])
    with path.open("a") as notes:
        notes.write(line + "\n")
    return path.read_text().splitlines().count(line)


@app.activity_trigger(input_name="number")
def double(number: int) -> int:
    return number * 2


@app.activity_trigger(input_name="name")
async def greet(name: str) -> str:
    return f"hello {name}"


@app.activity_trigger(input_name="spec")
def flaky(spec: dict) -> str:
    attempt = _note(f"flaky {spec['key']}")
    if attempt <= spec["failures"]:
        raise ValueError(f"attempt {attempt} fails")
    return f"attempt {attempt}"


@app.activity_trigger(input_name="key")
def slow(key: str) -> str:
    _note(f"slow {key}")
    time.sleep(0.6)
    _note(f"slow {key} done")
    return key


@app.activity_trigger(input_name="nothing")
def traceparent(nothing: str, context: func.Context) -> str:
    return context.trace_context.trace_parent


@app.orchestration_trigger(context_name="context")
def chain(context: df.DurableOrchestrationContext) -> Steps:
    number = context.get_input()
    context.set_custom_status({"at": "start"})
    for _ in range(3):
        number = yield context.call_activity("double", number)
    context.set_custom_status({"at": "end"})
    greeting = yield context.call_activity("greet", "Ada")
    return {"number": number, "greeting": greeting}


@app.orchestration_trigger(context_name="context")
def fan_out(context: df.DurableOrchestrationContext) -> Steps:
    results = yield context.task_all([context.call_activity("double", n) for n in range(20)])
    return sum(results)


@app.orchestration_trigger(context_name="context")
def retries(context: df.DurableOrchestrationContext) -> Steps:
    spec = context.get_input()
    try:
        first = yield context.call_activity_with_retry("flaky", _RETRY, spec)
    except Exception as error:
        first = f"gave up: {error}"
    second = yield context.call_activity("double", 4)
    return [first, second]


@app.orchestration_trigger(context_name="context")
def two_subs(context: df.DurableOrchestrationContext) -> Steps:
    children = [
        context.call_sub_orchestrator("chain", 1, f"{context.instance_id}-a"),
        context.call_sub_orchestrator("chain", 2),
    ]
    return (yield context.task_all(children))


@app.orchestration_trigger(context_name="context")
def failing(context: df.DurableOrchestrationContext) -> Steps:
    yield context.call_activity("double", 1)
    raise ValueError("no good")


@app.orchestration_trigger(context_name="context")
def parent_of_failing(context: df.DurableOrchestrationContext) -> Steps:
    try:
        yield context.call_sub_orchestrator("failing")
    except Exception as error:
        return f"caught: {error}"
    return "not caught"


@app.orchestration_trigger(context_name="context")
def approval(context: df.DurableOrchestrationContext) -> Steps:
    deadline = context.current_utc_datetime + timedelta(seconds=context.get_input())
    timer = context.create_timer(deadline)
    answer = context.wait_for_external_event("answer")
    winner = yield context.task_any([timer, answer])
    if winner is timer:
        return "too late"
    timer.cancel()
    after = yield context.call_activity("greet", "after")
    return [answer.result, after]


@app.orchestration_trigger(context_name="context")
def counter(context: df.DurableOrchestrationContext) -> Steps:
    count = context.get_input()
    count = (yield context.call_activity("double", count)) // 2 + 1
    if count < 5:
        context.continue_as_new(count)
        return None
    return count


@app.orchestration_trigger(context_name="context")
def slow_chain(context: df.DurableOrchestrationContext) -> Steps:
    key = context.get_input()
    first = yield context.call_activity("slow", f"{key}-1")
    second = yield context.call_activity("slow", f"{key}-2")
    return [first, second]


@app.orchestration_trigger(context_name="context")
def unknown_activity(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_activity("nowhere", 1))


@app.orchestration_trigger(context_name="context")
def http_caller(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_http("GET", "http://127.0.0.1:1/"))


@app.orchestration_trigger(context_name="context")
def traced(context: df.DurableOrchestrationContext) -> Steps:
    return (yield context.call_activity("traceparent", ""))


@app.orchestration_trigger(context_name="context")
def size(context: df.DurableOrchestrationContext) -> Steps:
    text = yield context.call_activity("greet", context.get_input())
    return len(text)


@app.route(route="start/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def start(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_body()
    payload = json.loads(body) if body else None
    try:
        instance_id = await client.start_new(
            req.route_params["name"], req.params.get("id"), payload
        )
    except Exception as error:
        return func.HttpResponse(str(error), status_code=500)
    return client.create_check_status_response(req, instance_id)


@app.route(route="run/{name}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def run(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    body = req.get_body()
    instance_id = await client.start_new(
        req.route_params["name"], req.params.get("id"), json.loads(body) if body else None
    )
    return await client.wait_for_completion_or_create_check_status_response(
        req, instance_id, 20_000, 50
    )


def _status(status: Any) -> dict[str, Any]:
    known = bool(status)
    return {
        "known": known,
        "status": status.runtime_status.value if known else None,
        "name": status.name,
        "input": status.input_,
        "output": status.output,
        "custom": status.custom_status,
        "history": getattr(status, "historyEvents", None),
    }


@app.route(route="status/{id}", methods=["GET"])
@app.durable_client_input(client_name="client")
async def status(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    found = await client.get_status(
        req.route_params["id"], show_history=True, show_history_output=True, show_input=True
    )
    return func.HttpResponse(json.dumps(_status(found)))


@app.route(route="instances", methods=["GET"])
@app.durable_client_input(client_name="client")
async def instances(
    req: func.HttpRequest, client: df.DurableOrchestrationClient
) -> func.HttpResponse:
    wanted = [df.OrchestrationRuntimeStatus(req.params["status"])]
    found = await client.get_status_by(
        runtime_status=wanted, instance_id_prefix=req.params.get("prefix")
    )
    return func.HttpResponse(json.dumps([one.instance_id for one in found]))


@app.route(route="do/{operation}/{id}", methods=["POST"])
@app.durable_client_input(client_name="client")
async def do(req: func.HttpRequest, client: df.DurableOrchestrationClient) -> func.HttpResponse:
    operation, instance_id = req.route_params["operation"], req.route_params["id"]
    answer: Any = None
    try:
        match operation:
            case "raise":
                await client.raise_event(instance_id, req.params["event"], req.get_json())
            case "purge":
                answer = (await client.purge_instance_history(instance_id)).instances_deleted
            case _:
                await getattr(client, operation)(instance_id, "because")
    except Exception as error:
        return func.HttpResponse(str(error), status_code=500)
    return func.HttpResponse(json.dumps(answer))
