"""HTTP and timer functions of every kind the host supports."""

import asyncio
import json
import logging
import os
import threading
import time
from pathlib import Path

import azure.functions as func

app = func.FunctionApp(http_auth_level=func.AuthLevel.FUNCTION)


def _note(line: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(line + "\n")


@app.route(route="echo/{kind:alpha}/{id:int?}", auth_level=func.AuthLevel.ANONYMOUS)
async def echo(req: func.HttpRequest, context: func.Context) -> func.HttpResponse:
    body = {
        "method": req.method,
        "url": req.url,
        "params": dict(req.params),
        "route": dict(req.route_params),
        "header": req.headers.get("X-Mixed-Case"),
        "body": req.get_body().decode(),
        "thread": threading.current_thread().name,
        "function": context.function_name,
        "directory": context.function_directory,
        "cwd": str(Path.cwd()),
        "invocation": context.invocation_id,
        "trace": context.trace_context.Traceparent,
        "state": context.trace_context.trace_state,
        "retry": context.retry_context.retry_count,
    }
    return func.HttpResponse(
        json.dumps(body),
        status_code=201,
        mimetype="application/json",
        headers={"X-Answer": "yes", "Set-Cookie": "a=b; Path=/"},
    )


@app.route(route="echo/special", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def special(req: func.HttpRequest) -> str:
    return f"special on {threading.current_thread().name.split('_')[0]}"


@app.route(methods=[func.HttpMethod.POST])
def keyed(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("in")


@app.route(route="guarded", auth_level=func.AuthLevel.ADMIN)
def guarded(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse("in")


@app.route(route="files/{*path}", auth_level=func.AuthLevel.ANONYMOUS)
def files(req: func.HttpRequest) -> func.HttpResponse:
    return func.HttpResponse(req.route_params.get("path", "none"))


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
def broken(req: func.HttpRequest) -> func.HttpResponse:
    raise KeyError("what I looked for")


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
async def sleepy(req: func.HttpRequest) -> func.HttpResponse:
    logging.info("sleepy begins")
    _note("sleepy")
    await asyncio.sleep(1)
    _note("sleepy done")
    return func.HttpResponse("awake")


@app.route(auth_level=func.AuthLevel.ANONYMOUS)
async def nothing(req: func.HttpRequest) -> func.HttpResponse:
    return None  # the worker refuses this, too


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
def every_second(timer: func.TimerRequest) -> None:
    _note("tick begins")
    time.sleep(1.2)
    _note("tick ends")


@app.timer_trigger(arg_name="timer", schedule="%HOURLY%")
async def hourly(timer: func.TimerRequest) -> None:
    last = timer.schedule_status.get("Last", "never")[:4]
    _note(f"hourly {timer.past_due} {last}")


@app.timer_trigger(arg_name="timer", schedule="0 0 0 1 1 *", run_on_startup=True)
@app.retry(strategy="fixed_delay", max_retry_count="2", delay_interval="00:00:00.1")
def starting(timer: func.TimerRequest, context: func.Context) -> None:
    retry = context.retry_context
    _note(f"starting {retry.retry_count} of {retry.max_retry_count}")
    if retry.retry_count < 2:
        raise RuntimeError("not yet")


@app.timer_trigger(arg_name="timer", schedule="%NOT_THERE%")
def unset(timer: func.TimerRequest) -> None:
    _note("never")


@app.timer_trigger(arg_name="timer", schedule="* * * * * *")
def switched_off(timer: func.TimerRequest) -> None:
    _note("never")
