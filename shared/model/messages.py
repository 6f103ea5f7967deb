"""What travels on the queues. The `commands` queue is public; the others are our own."""

from dataclasses import dataclass
from datetime import date, datetime
from typing import Literal

from shared.model.ids import Epoch, ItemId, JobId, RequestId
from shared.model.inventory import Scope
from shared.model.machine import Luns

COMMANDS = "commands"
SNAPSHOT = "snapshot"
TRANSFER = "transfer-to-vault"
COPY = "incremental-copy"
RETENTION = "retention"
VAULTS = "recovery-services"
QUEUES = (COMMANDS, SNAPSHOT, TRANSFER, COPY, RETENTION, VAULTS)


@dataclass(frozen=True, kw_only=True)
class Outgoing:
    """A message to send. `message_id` (≤ 128 characters) is deterministic: queues drop repeats."""

    queue: str
    message_id: str
    body: str
    traceparent: str = ""
    not_before: datetime | None = None


@dataclass(frozen=True, kw_only=True)
class TakeSnapshot:
    """On `snapshot`: back the item up, for a slot of its schedule or for a request."""

    item_id: ItemId
    job_id: JobId
    slot: datetime | None = None
    retain_until: datetime | None = None


Step = Literal["plan", "fan-out", "commit"]


@dataclass(frozen=True, kw_only=True)
class TransferStep:
    """On `transfer-to-vault`: plan a transfer, send its parts out, or commit it."""

    step: Step
    item_id: ItemId
    job_id: JobId
    epoch: Epoch


@dataclass(frozen=True, kw_only=True)
class CopyPart:
    """On `incremental-copy`: carry out operations `[first, last)` of the plan of `epoch`, or what
    of them is not done yet. `leg` counts the messages that one part took so far."""

    item_id: ItemId
    job_id: JobId
    epoch: Epoch
    part: int
    first: int
    last: int
    leg: int = 0


@dataclass(frozen=True, kw_only=True)
class ExpirePoints:
    """On `retention`: plan and carry out what the item's policy no longer keeps."""

    item_id: ItemId


@dataclass(frozen=True, kw_only=True)
class FollowVault:
    """On `recovery-services`: have a vault do a job's work, or look how far it is. `look` counts
    the messages of one job, each of which asks for the next."""

    item_id: ItemId
    job_id: JobId
    look: int


@dataclass(frozen=True, kw_only=True)
class Protect:
    source: str
    policy: str
    vault: str
    item_id: ItemId | None = None
    disks: Luns | None = None
    """Of a machine: which of its disks; all where nothing is said."""
    accept_losses: bool = False
    """What the vault cannot do of the policy may be left out."""
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class StopProtection:
    item_id: ItemId
    delete_data: bool
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class Undelete:
    """Takes a soft-deleted item's deletion back; its protection stays stopped."""

    item_id: ItemId
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class Discover:
    """Registers every disk in a scope."""

    scope: Scope
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class BackupNow:
    item_id: ItemId
    retain_until: date | None = None
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class RestoreTarget:
    """`original` overwrites what is protected, so must be confirmed; `alternate` makes `url`, a
    disk or a machine; `disks` makes a machine's disks alone, in `group`."""

    kind: Literal["original", "alternate", "disks"]
    url: str = ""
    confirm: bool = False
    network: str = ""
    """Of a new machine: the subnet, or the free interface, that it gets."""
    group: str = ""
    """Of disks: the resource group that they are made in, under their names behind `prefix`."""
    prefix: str = ""
    disks: Luns | None = None
    """Of disks: which ones; all where nothing is said."""
    staging_account: str = ""
    """Of a Recovery Services vault: the id of the storage account that its restores pass through;
    the one of the settings where nothing is said."""


@dataclass(frozen=True, kw_only=True)
class Restore:
    """`point` is a point's id or `latest`; or the newest point not after `at`."""

    item_id: ItemId
    point: str = "latest"
    at: datetime | None = None
    target: RestoreTarget
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class ConsistencyCheck:
    """Compares the replica with the base's source snapshot, and puts right what differs."""

    item_id: ItemId
    request_id: RequestId


@dataclass(frozen=True, kw_only=True)
class CancelJob:
    """Ends a backup, a restore or a check before its time."""

    job_id: JobId
    request_id: RequestId


Command = (
    Protect
    | StopProtection
    | BackupNow
    | Restore
    | ConsistencyCheck
    | CancelJob
    | Undelete
    | Discover
)
