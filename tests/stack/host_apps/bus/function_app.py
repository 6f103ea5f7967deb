"""Queue functions that note what they are given."""

import asyncio
import json
import os
from pathlib import Path

import azure.functions as func

app = func.FunctionApp()


def _note(line: str) -> None:
    with Path(os.environ["NOTES"]).open("a") as notes:
        notes.write(line + "\n")


@app.service_bus_queue_trigger(arg_name="message", queue_name="%QUEUE%", connection="Bus")
async def consume(message: func.ServiceBusMessage) -> None:
    body = json.loads(message.get_body())
    if body["do"] == "fail":
        _note(f"fail {message.delivery_count}")
        raise ValueError("as asked")
    if body["do"] == "sleep":
        _note(f"sleep {message.delivery_count}")
        await asyncio.sleep(body["seconds"])
        _note("slept")
        return
    _note(f"{body['do']} {message.message_id} {message.application_properties.get('n')}")


@app.service_bus_queue_trigger(arg_name="text", queue_name="texts", connection="Bus")
def read(text: str) -> None:
    _note(f"text {text}")
