"""How long the service takes, in seconds of its own time; the medians of the recordings."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Durations:
    """Seconds. Where a figure comes from is said beside it; all but the noted ones are recorded."""

    create_vault: float = 8.0
    update_vault: float = 20.0
    delete_vault: float = 15.0
    refresh: float = 12.0
    """202, 202, 204 at the client's 5 s polls."""
    enable: float = 30.6
    """The operation stays InProgress until the job ends."""
    reconfigure: float = 1.4
    """Stop with data kept, resume, change of policy, undelete."""
    delete: float = 111.0
    delete_softly: float = 11.0
    accept: float = 0.0
    """From a backup's or restore's request until its operation names the job; long, once."""
    freeze: float = 3.9
    """From the start of a backup to the moment that its recovery point shows."""
    snapshot: float = 457.0
    """To the end of `Take Snapshot`."""
    transfer_unseen: float = 184.0
    """`Transfer data to vault` says NotStarted for so long after it has in fact begun."""
    transfer: float = 2018.0
    finish: float = 1.3
    cancel: float = 30.0
    """Not recorded to its end."""
    restore_disks: float = 35.0
    """The transfer of a restore from the instant tier to a target resource group."""
    restore_finish: float = 33.7
    restore_vhds: float = 2137.0
    """The transfer of a restore to a storage account."""
    create_vm: float = 96.0
    swap_disks: float = 1353.0
