"""The `commands` queue's contract (DESIGN §7): what may be posted, and what it means."""

import json
from datetime import date
from typing import Annotated, Any, Literal

from pydantic import Discriminator, Field, Tag, TypeAdapter, ValidationError, model_validator

from shared.contracts.fields import (
    DiskUrlField,
    Document,
    InstantField,
    ItemIdField,
    JobIdField,
    PolicyNameField,
    RequestIdField,
    ScopeUrlField,
    TagField,
    VaultNameField,
    index_tag,
    refusal,
)
from shared.contracts.machines import DiskChoice
from shared.contracts.refusals import refused
from shared.contracts.targets import Target
from shared.model import messages
from shared.model.arm_ids import is_machine_id
from shared.model.errors import Invalid
from shared.model.ids import ItemId, JobId, RequestId, item_of
from shared.model.inventory import Scope

BODY_BYTES = 64 * 1024
"""Longest body that is looked at; the longest sensible command has a few kilobytes."""


class Command(Document):
    """What all commands share. `request_id` defaults to the message's MessageId."""

    request_id: RequestIdField | None = None


class Protect(Command):
    """Puts a disk under a policy: a page blob by its URL, a managed disk by its id; or a virtual
    machine by its id, with all its disks, or some. `item_id` defaults to a name made from the
    source's. `accept_losses` leaves out what a Recovery Services vault cannot do of the policy."""

    type: Literal["protect"]
    source: DiskUrlField
    policy: PolicyNameField
    vault: VaultNameField
    item_id: ItemIdField | None = None
    disks: DiskChoice | None = None
    accept_losses: bool = False

    @model_validator(mode="after")
    def _fits(self) -> "Protect":
        if self.disks and not is_machine_id(self.source):
            raise refusal("disks are for a virtual machine")
        return self

    def meaning(self, request: RequestId) -> messages.Protect:
        return messages.Protect(
            source=self.source,
            policy=self.policy,
            vault=self.vault,
            item_id=ItemId(self.item_id) if self.item_id else None,
            disks=self.disks.meaning() if self.disks else None,
            accept_losses=self.accept_losses,
            request_id=request,
        )


class StopProtection(Command):
    """Ends an item's backups. Its points stay; with `delete_data`, for 14 days in which
    `undelete` brings them back."""

    type: Literal["stop-protection"]
    item_id: ItemIdField
    delete_data: bool

    def meaning(self, request: RequestId) -> messages.StopProtection:
        return messages.StopProtection(
            item_id=ItemId(self.item_id), delete_data=self.delete_data, request_id=request
        )


class Undelete(Command):
    """Takes a deletion back, while its data is still kept; protection stays stopped."""

    type: Literal["undelete"]
    item_id: ItemIdField

    def meaning(self, request: RequestId) -> messages.Undelete:
        return messages.Undelete(item_id=ItemId(self.item_id), request_id=request)


class ScopeDocument(Document):
    """Where to look: every page blob whose URL begins with `url` (an account's endpoint, a
    container, or the beginning of names in one) and which carries the index tag `tag`; or, where
    `url` is a subscription's or a resource group's id, every managed disk there with that tag, or,
    with `/virtualMachines` behind the id, every virtual machine."""

    url: ScopeUrlField
    tag: TagField | None = None

    def meaning(self) -> Scope:
        return Scope(url=self.url, tag=index_tag(self.tag) if self.tag else None)


class Discover(Command):
    """Finds disks in a scope and registers those that are not known yet."""

    type: Literal["discover"]
    scope: ScopeDocument

    def meaning(self, request: RequestId) -> messages.Discover:
        return messages.Discover(scope=self.scope.meaning(), request_id=request)


class BackupNow(Command):
    """Backs an item up outside its schedule; kept through `retain_until`, or 30 days."""

    type: Literal["backup-now"]
    item_id: ItemIdField
    retain_until: date | None = None

    def meaning(self, request: RequestId) -> messages.BackupNow:
        return messages.BackupNow(
            item_id=ItemId(self.item_id), retain_until=self.retain_until, request_id=request
        )


class ConsistencyCheck(Command):
    """Compares an item's replica with the source of its newest point, byte by byte, and puts
    right what differs."""

    type: Literal["consistency-check"]
    item_id: ItemIdField

    def meaning(self, request: RequestId) -> messages.ConsistencyCheck:
        return messages.ConsistencyCheck(item_id=ItemId(self.item_id), request_id=request)


class PointAt(Document):
    """The newest point not after `at`."""

    at: InstantField


def _point_shape(value: Any) -> str:
    return "by time" if isinstance(value, dict | PointAt) else "by id"


PointChoice = Annotated[
    Annotated[str, Tag("by id")] | Annotated[PointAt, Tag("by time")],
    Discriminator(_point_shape),
]


class Restore(Command):
    """Brings a point back. `point` is `latest`, a point's id, or `{"at": time}`."""

    type: Literal["restore"]
    item_id: ItemIdField
    point: PointChoice = "latest"
    target: Target

    @model_validator(mode="after")
    def _own_point(self) -> "Restore":
        if isinstance(self.point, str) and self.point != "latest":
            _check_point(self.point, self.item_id)
        return self

    def meaning(self, request: RequestId) -> messages.Restore:
        by_time = self.point if isinstance(self.point, PointAt) else None
        return messages.Restore(
            item_id=ItemId(self.item_id),
            point="latest" if by_time else str(self.point),
            at=by_time.at if by_time else None,
            target=self.target.meaning(),
            request_id=request,
        )


class Cancel(Command):
    """Ends a backup, a restore or a check before its time. The job's own status tells when it has
    ended."""

    type: Literal["cancel"]
    job_id: JobIdField

    def meaning(self, request: RequestId) -> messages.CancelJob:
        return messages.CancelJob(job_id=JobId(self.job_id), request_id=request)


AnyCommand = (
    Protect | StopProtection | Undelete | Discover | BackupNow | Restore | ConsistencyCheck | Cancel
)

_COMMANDS: dict[str, type[AnyCommand]] = {
    "protect": Protect,
    "stop-protection": StopProtection,
    "backup-now": BackupNow,
    "restore": Restore,
    "consistency-check": ConsistencyCheck,
    "undelete": Undelete,
    "discover": Discover,
    "cancel": Cancel,
}

PublicCommand: TypeAdapter[Any] = TypeAdapter(Annotated[AnyCommand, Field(discriminator="type")])
"""Any command, for the published schema."""


def parse_command(body: bytes, message_id: str) -> messages.Command:
    """What the message asks for. Raises `Invalid`, in words for whoever posted it."""
    text, fields = _json_object(body)
    model = _model(fields)
    try:
        command = model.model_validate_json(text)
    except ValidationError as error:
        raise refused(error, f"command '{fields['type']}'", model) from None
    return command.meaning(_request(command, message_id))


def _json_object(body: bytes) -> tuple[str, dict[str, Any]]:
    """The body as text and as an object. Raises `Invalid`."""
    if len(body) > BODY_BYTES:
        raise Invalid(f"the body has {len(body)} bytes; a command has at most {BODY_BYTES}")
    try:
        text = body.decode()
        fields = json.loads(text, object_pairs_hook=_once)
    except (ValueError, RecursionError) as error:
        raise Invalid(f"the body is not JSON: {_why(error)}") from None
    if not isinstance(fields, dict):
        raise Invalid('the body is JSON but no object: a command looks like {"type": …}')
    return text, fields


def _why(error: Exception) -> str:
    """What is wrong with the text, without the text."""
    match error:
        case json.JSONDecodeError():
            return f"{error.msg} at line {error.lineno}, column {error.colno}"
        case UnicodeDecodeError():
            return f"byte {error.start} is not UTF-8"
        case RecursionError():
            return "it is nested too deeply"
        case _GivenTwice():
            return "a field is given twice"
    return "a number has too many digits"


class _GivenTwice(ValueError):
    """Readers differ in which of the two they take, so neither is."""


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """An object none of whose fields is given twice."""
    fields = dict(pairs)
    if len(fields) < len(pairs):
        raise _GivenTwice
    return fields


def _model(fields: dict[str, Any]) -> type[AnyCommand]:
    """The contract that the message's `type` decides on. Raises `Invalid`."""
    known = f"the types are {', '.join(_COMMANDS)}"
    if "type" not in fields:
        raise Invalid(f"'type' is missing; {known}")
    kind = fields["type"]
    if not isinstance(kind, str):
        raise Invalid(f"'type' must be a string; {known}")
    if kind not in _COMMANDS:
        raise Invalid(f"'{kind[:60]}' is not a command; {known}")
    target = fields.get("target")
    if kind == "restore" and isinstance(target, dict) and target.get("kind") == "files":
        raise _not_yet(
            "restoring single files is planned but not supported yet; "
            "the kinds of target are original, alternate, disks"
        )
    return _COMMANDS[kind]


def _not_yet(reason: str) -> Invalid:
    return Invalid(reason, code="NotSupportedYet", action="Use what is supported by now.")


def _request(command: Command, message_id: str) -> RequestId:
    request = command.request_id or message_id
    if not request:
        raise Invalid("'request_id' is missing, and the message has no MessageId to take instead")
    return RequestId(request)


def _check_point(point: str, item: str) -> None:
    try:
        owner = item_of(point)
    except Invalid:
        owner = None
    if owner is None or not point.startswith(f"{owner}.point-"):
        raise refusal('point must be "latest", a point\'s id, or {"at": time}')
    if owner != item:
        raise refusal(f"point is one of item '{owner}', not of '{item}'")
