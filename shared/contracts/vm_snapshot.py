"""The VMSnapshot extension's settings: made, checked, and read.

Secrets go into the protected settings, which Azure encrypts for the machine and never shows again:
the object string (with the SAS of the disks) and the URIs for log and status. Anybody who may read
the machine sees the public ones, so a secret among them is refused, and no refusal repeats a value
(invariant 10).
"""

import base64
import json
import re
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from urllib.parse import parse_qs, urlsplit
from uuid import UUID

from pydantic import Field, ValidationError

from shared.contracts.fields import Document, checked
from shared.contracts.refusals import refused
from shared.model.errors import Invalid
from shared.model.machine import Os
from shared.model.vm_snapshot import (
    COMMAND,
    EXTENSIONS,
    HANDLER_VERSION,
    PUBLISHER,
    VM_TYPE,
    SnapshotTask,
    moment_of,
    ticks_of,
)

Json = Mapping[str, Any]

PROTECTED = ("objectStr", "logsBlobUri", "statusBlobUri")
_SIGNED = re.compile(r"(?i)[?&]sig=|\b(?:sharedaccess(?:key|signature)|accountkey)=")
_LOCALE = re.compile(r"[A-Za-z]{2,3}(?:-[A-Za-z0-9]{2,8}){0,2}")
_TICKS = re.compile(r"[0-9]{1,19}")
_DISKS = "blobSASUri"


def object_string(disks: Sequence[str]) -> str:
    """The object string of disks, given by their SAS URIs."""
    return base64.b64encode(json.dumps({_DISKS: list(disks)}).encode()).decode()


def disks_in(text: str) -> tuple[str, ...]:
    """The SAS URIs of an object string's disks; none where it names none. Raises `Invalid`."""
    fields = _decoded(text)
    if not isinstance(fields, dict):
        raise Invalid("objectStr must be a JSON object in Base64")
    disks = fields.get(_DISKS) or ()
    if not all(isinstance(disk, str) for disk in disks):
        raise Invalid(f"objectStr: {_DISKS} must be a list of URIs")
    return tuple(disks)


def _decoded(text: str) -> Any:
    """What the Base64 stands for, or None. The extension strips quotes as well."""
    try:
        return json.loads(base64.b64decode(text, validate=True).decode().strip().strip("'"))
    except ValueError:
        return None


def _guid(text: str) -> str:
    try:
        return str(UUID(text))
    except ValueError:
        raise Invalid("must be a GUID such as e07354cf-041e-4370-929f-25a319ce8933") from None


def _ticks(text: str) -> str:
    try:
        if _TICKS.fullmatch(text):
            moment_of(int(text))
            return text
    except ValueError:
        pass
    raise Invalid("must be .NET ticks of a UTC time, as digits in a string")


def _locale(text: str) -> str:
    if not _LOCALE.fullmatch(text):
        raise Invalid("must be a language such as en-us")
    return text


def _vm_type(text: str) -> str:
    if text.lower() != VM_TYPE:
        raise Invalid(f"must be {VM_TYPE}")
    return VM_TYPE


def _signed_blob(text: str) -> str:
    try:
        parts = urlsplit(text)
    except ValueError:
        raise Invalid("must be the URI of a blob") from None
    if parts.scheme not in ("http", "https") or len(parts.path.strip("/").split("/")) < 2:
        raise Invalid("must be the URI of a blob")
    if "sig" not in parse_qs(parts.query):
        raise Invalid("must carry a SAS: the extension has no other leave to write there")
    return text


def _objects(text: str) -> str:
    disks_in(text)
    return text


class PublicSettings(Document):
    """`settings`: anybody who may read the machine sees them."""

    locale: Annotated[str, checked(_locale)]
    task_id: Annotated[str, checked(_guid)] = Field(alias="taskId")
    command: Literal["snapshot"] = Field(alias="commandToExecute")
    ticks: Annotated[str, checked(_ticks)] = Field(alias="commandStartTimeUTCTicks")
    vm_type: Annotated[str, checked(_vm_type)] = Field(VM_TYPE, alias="vmType")


class ProtectedSettings(Document):
    """`protectedSettings`: only the machine can read them."""

    objects: Annotated[str, checked(_objects)] = Field(alias="objectStr")
    logs: Annotated[str, checked(_signed_blob)] = Field(alias="logsBlobUri")
    status: Annotated[str, checked(_signed_blob)] = Field(alias="statusBlobUri")


def settings_of(task: SnapshotTask) -> tuple[dict[str, str], dict[str, str]]:
    """Public and protected settings. Raises `Invalid` where they would be refused: a SAS in what
    is public, a URI without one, a task id that is no GUID."""
    public = {
        "locale": task.locale,
        "taskId": task.task_id,
        "commandToExecute": COMMAND,
        "commandStartTimeUTCTicks": str(ticks_of(task.starts_at)),
        "vmType": VM_TYPE,
    }
    protected = {
        "objectStr": task.object_string,
        "logsBlobUri": task.logs_blob,
        "statusBlobUri": task.status_blob,
    }
    task_in(public, protected)
    return public, protected


def task_in(public: Json, protected: Json) -> SnapshotTask:
    """The task that the settings mean. Raises `Invalid`."""
    for path in _secrets_in(public, "settings"):
        raise Invalid(
            f"{path} holds a secret, and everybody who may read the machine sees it",
            code="SecretInPublicSettings",
            action=f"Move it to protectedSettings, and have the SAS revoked: {_protected_names()}.",
        )
    shown = _validated(PublicSettings, public, "settings")
    hidden = _validated(ProtectedSettings, protected, "protectedSettings")
    return SnapshotTask(
        task_id=shown.task_id,
        starts_at=moment_of(int(shown.ticks)),
        locale=shown.locale,
        object_string=hidden.objects,
        logs_blob=hidden.logs,
        status_blob=hidden.status,
    )


def _validated(model: Any, fields: Json, what: str) -> Any:
    try:
        return model.model_validate(dict(fields))
    except ValidationError as error:
        raise refused(error, what, model) from None


def _protected_names() -> str:
    return ", ".join(PROTECTED)


def _secrets_in(value: Any, path: str) -> Iterator[str]:
    """Where a SAS or a key stands, also within Base64; and every field that is always secret."""
    match value:
        case Mapping():
            for name, inner in value.items():
                if name in PROTECTED and inner:
                    yield f"{path}.{name}"
                yield from _secrets_in(inner, f"{path}.{str(name)[:60]}")
        case list():
            for at, inner in enumerate(value):
                yield from _secrets_in(inner, f"{path}.{at}")
        case str() if _SIGNED.search(value) or _SIGNED.search(json.dumps(_decoded(value))):
            yield path


def extension_of(task: SnapshotTask, os: Os) -> dict[str, Any]:
    """The extension's resource properties, as Resource Manager takes them. Raises `Invalid`."""
    public, protected = settings_of(task)
    return _properties(EXTENSIONS[os], public, protected)


def _properties(kind: str, public: Json, protected: Json) -> dict[str, Any]:
    return {
        "publisher": PUBLISHER,
        "type": kind,
        "typeHandlerVersion": HANDLER_VERSION,
        "autoUpgradeMinorVersion": True,
        "settings": dict(public),
        "protectedSettings": dict(protected),
    }


def read_extension(properties: Json) -> SnapshotTask:
    """The task in an extension's properties. Raises `Invalid` where it is another extension, or
    its settings are wrong; `protectedSettings` are missing in what Azure shows of an extension."""
    if properties.get("type") not in EXTENSIONS.values():
        raise Invalid(f"type must be one of {', '.join(EXTENSIONS.values())}")
    if properties.get("publisher") != PUBLISHER:
        raise Invalid(f"publisher must be {PUBLISHER}")
    parts = [properties.get(name) for name in ("settings", "protectedSettings")]
    public, protected = (part if isinstance(part, Mapping) else {} for part in parts)
    return task_in(public, protected)


def template() -> dict[str, Any]:
    """An ARM template that installs the extension with a task: every secret is a `securestring`
    parameter, which no deployment shows."""
    public = {name: f"[parameters('{name}')]" for name in _parameters_of(PublicSettings)}
    protected = {name: f"[parameters('{name}')]" for name in _parameters_of(ProtectedSettings)}
    fixed = {"commandToExecute": COMMAND, "vmType": VM_TYPE}
    kind = "[parameters('extension')]"
    return {
        "$schema": "https://schema.management.azure.com/schemas/2019-04-01/"
        "deploymentTemplate.json#",
        "contentVersion": "1.0.0.0",
        "parameters": {
            "vmName": {"type": "string"},
            "location": {"type": "string", "defaultValue": "[resourceGroup().location]"},
            "extension": {"type": "string", "allowedValues": sorted(EXTENSIONS.values())},
            "locale": {"type": "string", "defaultValue": "en-us"},
            "taskId": {"type": "string"},
            "commandStartTimeUTCTicks": {"type": "string"},
            **{name: {"type": "securestring"} for name in protected},
        },
        "resources": [
            {
                "type": "Microsoft.Compute/virtualMachines/extensions",
                "apiVersion": "2024-07-01",
                "name": "[concat(parameters('vmName'), '/', parameters('extension'))]",
                "location": "[parameters('location')]",
                "properties": _properties(kind, public | fixed, protected),
            }
        ],
    }


def _parameters_of(model: Any) -> list[str]:
    return [str(field.alias or name) for name, field in model.model_fields.items()]


def new_task(
    task_id: str, starts_at: datetime, disks: Sequence[str], logs_blob: str, status_blob: str
) -> SnapshotTask:
    """A task for disks given by their SAS URIs. Raises `Invalid`."""
    task = SnapshotTask(
        task_id=task_id,
        starts_at=starts_at,
        object_string=object_string(disks),
        logs_blob=logs_blob,
        status_blob=status_blob,
    )
    settings_of(task)
    return task
