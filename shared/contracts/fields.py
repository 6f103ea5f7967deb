"""Field types of the public documents: each refuses in words that name the allowed values."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    AwareDatetime,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    WithJsonSchema,
)
from pydantic_core import CoreSchema, PydanticCustomError, core_schema

from shared.model import ids
from shared.model.arm_ids import compute_scope, disk_id, is_arm_id, is_machine_id, machine_id
from shared.model.errors import Invalid
from shared.model.inventory import Tag
from shared.model.vault import vault_name

URL_CHARACTERS = 2048

V = TypeVar("V")


class Document(BaseModel):
    """Nothing is guessed: unknown fields and values of another type are refused."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def refusal(reason: str) -> PydanticCustomError:
    """Why a field is wrong, without pydantic's own prefix."""
    return PydanticCustomError("refused", "{reason}", {"reason": reason})


def checked(check: Callable[[str], V]) -> AfterValidator:
    """`check` as a validator: its `Invalid` becomes the field's error."""

    def validate(value: str) -> V:
        try:
            return check(value)
        except Invalid as error:
            raise refusal(str(error)) from None

    return AfterValidator(validate)


@dataclass(frozen=True)
class Whole:
    """A whole number from `low` to `high`; the refusal says both and the unit."""

    low: int
    high: int
    unit: str

    def __get_pydantic_core_schema__(self, _source: Any, _handler: Any) -> CoreSchema:
        return core_schema.no_info_plain_validator_function(self._check)

    def __get_pydantic_json_schema__(self, _schema: Any, _handler: Any) -> dict[str, Any]:
        bounds = {"minimum": self.low, "maximum": self.high}
        return {"type": "integer", **bounds, "description": self.unit}

    def _check(self, value: Any) -> int:
        if type(value) is not int or not self.low <= value <= self.high:
            raise refusal(
                f"must be a whole number from {self.low} to {self.high} {self.unit}".rstrip()
            )
        return value


def container_url(text: str) -> str:
    """The URL of a container, without a slash at its end. Raises `Invalid`."""
    return _plain_url(text.rstrip("/"), "…/CONTAINER", 1)


def scope_url(text: str) -> str:
    """The URL of an account, a container, or the beginning of blobs' names; or the id of a
    subscription or a resource group, or of the machines in one, in lower case. Raises `Invalid`."""
    if is_arm_id(text):
        return str(compute_scope(text))
    return _plain_url(text, "…/CONTAINER/PREFIX", 0)


def index_tag(text: str) -> Tag:
    """`name=value`, each within the bounds of a blob's index tags. Raises `Invalid`."""
    name, equals, value = text.partition("=")
    if not (equals and 1 <= len(name) <= 128 and len(value) <= 256 and text.isprintable()):
        raise Invalid("must be a blob index tag such as backup=yes")
    return Tag(name=name, value=value)


def _disk_url(text: str) -> str:
    """A page blob's URL as it is, or a managed disk's or virtual machine's id in lower case."""
    if is_arm_id(text):
        return machine_id(text).url if is_machine_id(text) else disk_id(text).url
    return _plain_url(text, "…/CONTAINER/BLOB", 2)


def _plain_url(text: str, form: str, names: int) -> str:
    """A URL whose path has at least so many names. Its text is never repeated in a refusal: it
    may hold a SAS (invariant 10)."""
    try:
        parts = urlsplit(text)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname)
        _ = parts.port
    except ValueError:
        usable = False
    if not usable or len(text) > URL_CHARACTERS:
        raise Invalid(f"must be a URL: https://ACCOUNT.blob.core.windows.net{form[1:]}")
    if parts.username is not None or any(mark in text for mark in "?#"):
        raise Invalid("must be a plain URL without SAS, key, query or snapshot: the app signs in")
    if any(ord(character) <= 32 or ord(character) == 127 for character in text):
        raise Invalid("must not hold spaces or control characters: write them as %20 and the like")
    if len([name for name in parts.path.split("/") if name]) < names:
        raise Invalid(f"must name {form}")
    return text


def _instant(value: Any) -> datetime:
    # Pydantic by itself takes "5" for five seconds after 1970.
    try:
        return datetime.fromisoformat(value)
    except (TypeError, ValueError):
        raise refusal("must be a time such as 2026-12-31T02:00:00Z") from None


def _in_utc(at: datetime) -> datetime:
    try:
        return at.astimezone(UTC)
    except OverflowError:
        raise refusal("is out of range") from None


def _request_id(text: str) -> str:
    if not 1 <= len(text) <= 128 or not text.isprintable():
        raise Invalid("must be 1 to 128 printable characters")
    return text


ItemIdField = Annotated[
    str,
    checked(ids.item_id),
    WithJsonSchema({"type": "string", "pattern": "^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]?$"}),
]

JobIdField = Annotated[
    str,
    checked(ids.job_id),
    WithJsonSchema(
        {
            "type": "string",
            "pattern": "^[a-z0-9][a-z0-9-]{0,38}[a-z0-9]?\\.[a-z]+-[a-z0-9]{1,40}$",
        }
    ),
]

_NAME_SCHEMA = {"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9-]{1,148}[A-Za-z0-9]$"}
PolicyNameField = Annotated[
    str, checked(lambda text: ids.name(text, "policy")), WithJsonSchema(_NAME_SCHEMA)
]
VaultNameField = Annotated[
    str,
    checked(vault_name),
    WithJsonSchema({"type": "string", "pattern": "^[A-Za-z][A-Za-z0-9-]{1,49}$"}),
]
ScopeUrlField = Annotated[
    str,
    checked(scope_url),
    WithJsonSchema({"type": "string", "format": "uri-reference", "maxLength": URL_CHARACTERS}),
]
TagField = Annotated[
    str,
    checked(lambda text: str(index_tag(text))),
    WithJsonSchema({"type": "string", "pattern": "^[^=]{1,128}=.{0,256}$"}),
]
DiskUrlField = Annotated[
    str,
    checked(_disk_url),
    WithJsonSchema({"type": "string", "format": "uri-reference", "maxLength": URL_CHARACTERS}),
]
RequestIdField = Annotated[
    str,
    checked(_request_id),
    WithJsonSchema({"type": "string", "minLength": 1, "maxLength": 128}),
]
InstantField = Annotated[AwareDatetime, BeforeValidator(_instant), AfterValidator(_in_utc)]
