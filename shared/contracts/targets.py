"""Where a restore may bring a point back to."""

import re
from typing import Annotated, Literal

from pydantic import Field, WithJsonSchema, model_validator

from shared.contracts.fields import URL_CHARACTERS, DiskUrlField, Document, checked, refusal
from shared.contracts.machines import DiskChoice
from shared.model import messages
from shared.model.arm_ids import compute_scope, is_machine_id, network_id
from shared.model.errors import Invalid

PREFIX_CHARACTERS = 20
_ACCOUNT = re.compile(
    r"/subscriptions/[0-9a-f-]{36}/resourcegroups/[\w().-]{1,90}"
    r"/providers/microsoft\.storage/storageaccounts/[a-z0-9]{3,24}"
)


def _group(text: str) -> str:
    scope = compute_scope(text)
    if not scope.group or scope.machines:
        raise Invalid("must be a resource group: /subscriptions/ID/resourceGroups/GROUP")
    return str(scope)


def _account(text: str) -> str:
    if not _ACCOUNT.fullmatch(text.lower()):
        raise Invalid(
            "must be a storage account's id: /subscriptions/ID/resourceGroups/GROUP/providers/"
            "Microsoft.Storage/storageAccounts/NAME"
        )
    return text.lower()


_ID = WithJsonSchema({"type": "string", "format": "uri-reference", "maxLength": URL_CHARACTERS})
GroupField = Annotated[str, checked(_group), _ID]
AccountField = Annotated[str, checked(_account), _ID]
NetworkField = Annotated[str, checked(network_id), _ID]
PrefixField = Annotated[
    str, Field(pattern=rf"^[A-Za-z0-9][A-Za-z0-9_.-]{{0,{PREFIX_CHARACTERS - 1}}}$")
]


class _Target(Document):
    """`staging_account` is the id of the storage account that a restore from a Recovery Services
    vault passes through; the app's setting says which, where it is left out."""

    staging_account: AccountField | None = None

    @property
    def staging(self) -> str:
        return self.staging_account or ""


class OriginalTarget(_Target):
    """The protected disk or machine itself: what is there is overwritten, so it must be
    confirmed."""

    kind: Literal["original"]
    confirm: bool = False

    @model_validator(mode="after")
    def _confirmed(self) -> "OriginalTarget":
        if not self.confirm:
            raise refusal('overwrites the protected disk: confirm it with "confirm": true')
        return self

    def meaning(self) -> messages.RestoreTarget:
        return messages.RestoreTarget(kind="original", confirm=True, staging_account=self.staging)


class AlternateTarget(_Target):
    """A new blob; or a new managed disk, or a new machine, where `url` is the id that it is to
    have. A machine's `network` is a subnet's id, or a free network interface's; without it, it
    gets the old machine's interface where that is free."""

    kind: Literal["alternate"]
    url: DiskUrlField
    network: NetworkField | None = None

    @model_validator(mode="after")
    def _fits(self) -> "AlternateTarget":
        if self.network and not is_machine_id(self.url):
            raise refusal("network is for a new virtual machine")
        return self

    def meaning(self) -> messages.RestoreTarget:
        return messages.RestoreTarget(
            kind="alternate",
            url=self.url,
            network=self.network or "",
            staging_account=self.staging,
        )


class DisksTarget(_Target):
    """A machine's disks, all or some, as new managed disks in `group`: each named as it was, behind
    `prefix` and a hyphen."""

    kind: Literal["disks"]
    group: GroupField
    prefix: PrefixField
    disks: DiskChoice | None = None

    def meaning(self) -> messages.RestoreTarget:
        return messages.RestoreTarget(
            kind="disks",
            group=self.group,
            prefix=self.prefix.lower(),
            disks=self.disks.meaning() if self.disks else None,
            staging_account=self.staging,
        )


Target = Annotated[OriginalTarget | AlternateTarget | DisksTarget, Field(discriminator="kind")]
