"""`vm extension …`: the VMSnapshot extension's settings and status. Secrets come from files, go
into files that only their owner can read, and are never printed (invariant 10)."""

import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any
from uuid import uuid4

import typer

from cli.columns import EXTENSION_STATUS, EXTENSION_TASK
from cli.documents import FileArgument, document
from cli.failures import DONE, FAILED
from cli.output import AsJson, show_json, show_one, utc
from cli.session import Session, run
from shared.contracts.vm_snapshot import (
    PROTECTED,
    object_string,
    read_extension,
    settings_of,
    template,
)
from shared.contracts.vm_snapshot_status import read_status
from shared.model.errors import Invalid
from shared.model.vm_snapshot import Outcome, SnapshotStatus, SnapshotTask

_OWNER_ONLY = 0o600

extension = typer.Typer(no_args_is_help=True, help="The VMSnapshot extension.")


@extension.command("template")
def template_() -> None:
    """Print an ARM template that installs the extension with a task."""
    show_json(template())


@extension.command("build")
def build(
    context: typer.Context,
    secrets: Annotated[
        str,
        typer.Argument(
            metavar="FILE",
            help="A JSON object with logsBlobUri, statusBlobUri and disks, a list of SAS URIs; "
            "- for standard input.",
        ),
    ],
    out: Annotated[
        Path, typer.Option("--out", metavar="FOLDER", help="Where the two files are written.")
    ],
    task: Annotated[
        str | None, typer.Option("--task", metavar="GUID", help="The task's id; a new one if left.")
    ] = None,
    start: Annotated[
        datetime | None, typer.Option("--start", help="When it starts, by UTC; now if left.")
    ] = None,
    locale: Annotated[str, typer.Option("--locale", help="Of its messages.")] = "en-us",
    as_json: AsJson = False,
) -> None:
    """Write a task's settings.json and protected.json, as `az vm extension set` takes them."""
    given = _json(document(secrets))

    async def ask(session: Session) -> None:
        made = SnapshotTask(
            task_id=task or str(uuid4()),
            starts_at=start.replace(tzinfo=UTC) if start else session.ports.clock.now(),
            locale=locale,
            object_string=object_string(_disks(given)),
            logs_blob=str(given.get("logsBlobUri", "")),
            status_blob=str(given.get("statusBlobUri", "")),
        )
        files = zip(("settings.json", "protected.json"), settings_of(made), strict=True)
        for name, settings in files:
            _write(out / name, settings)
        show_one(_task_view(made), EXTENSION_TASK, as_json=as_json)

    run(context, ask)


@extension.command("validate")
def validate(file: FileArgument, as_json: AsJson = False) -> None:
    """Check an extension's settings, public and protected, before they are sent to Azure."""
    fields = _json(document(file))
    if "$schema" in fields:
        raise Invalid(
            "this is a template: its settings are known when it is deployed",
            action="Give an extension's properties, or the resource that has them.",
        )
    properties = fields.get("properties", fields)
    if not isinstance(properties, dict):
        raise Invalid("properties must be an object with fields")
    show_one(_task_view(read_extension(properties)), EXTENSION_TASK, as_json=as_json)


@extension.command("status")
def status(file: FileArgument, as_json: AsJson = False) -> int:
    """Read what the extension wrote into its status blob, or into its status file."""
    found = read_status(document(file))
    show_one(_status_view(found), EXTENSION_STATUS, as_json=as_json)
    return FAILED if found.outcome is Outcome.FAILED else DONE


def _disks(given: dict[str, Any]) -> list[str]:
    disks = given.get("disks", [])
    if not isinstance(disks, list) or not all(isinstance(disk, str) for disk in disks):
        raise Invalid("disks must be a list of SAS URIs")
    return disks


def _write(path: Path, settings: dict[str, str]) -> None:
    """A file that only its owner can read from its first byte on. Raises `Invalid` where it cannot
    be written, or is there already."""
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, _OWNER_ONLY)
    except OSError as error:
        raise Invalid(f"cannot write {path}: {error.strerror}") from None
    with os.fdopen(handle, "w", encoding="utf-8") as file:
        json.dump(settings, file, indent=2)


def _task_view(task: SnapshotTask) -> dict[str, Any]:
    """What may be seen of it."""
    return {
        "task_id": task.task_id,
        "starts_at": utc(task.starts_at),
        "locale": task.locale,
        "protected": list(PROTECTED),
    }


def _status_view(status: SnapshotStatus) -> dict[str, Any]:
    return {
        "outcome": status.outcome.value,
        "code": status.code,
        "name": status.name,
        "message": status.message,
        "recommended_action": status.action or None,
        "operation": status.operation,
        "task_id": status.task_id,
        "starts_at": utc(status.starts_at) if status.starts_at else None,
        "reported_at": utc(status.reported_at) if status.reported_at else None,
        "consistency": status.consistency.value if status.consistency else None,
        "disks": [
            {"url": disk.url, "succeeded": disk.succeeded, "message": disk.message}
            for disk in status.disks
        ],
        "version": status.version,
    }


def _json(text: str) -> dict[str, Any]:
    try:
        fields = json.loads(text)
    except ValueError:
        fields = None
    if not isinstance(fields, dict):
        raise Invalid("a JSON object is expected")
    return fields
