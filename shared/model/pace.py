"""How patient and how parallel the pipeline is."""

from dataclasses import dataclass, fields

PARTS_AT_ONCE = 4
"""Copy parts that one process carries out at the same time, about."""
LEAST_REQUESTS = 64
_MUST_BE_POSITIVE = frozenset(
    {
        "copy_concurrency",
        "holders",
        "part_seconds",
        "checkpoint_seconds",
        "max_attempts",
        "starts_per_tick",
        "blob_requests_per_second",
        "blob_bytes_per_second",
        "vault_look_seconds",
        "vault_wait_seconds",
        "vault_mirror_seconds",
    }
)


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Settings, with defaults for Azure; each by `VAULTLINE_<NAME>`."""

    stall_seconds: float = 120.0
    """No progress for so long: the reconciler moves the work on."""
    rest_seconds: float = 300.0
    """An item at rest is watched for so long before its watch ends."""
    copy_concurrency: int = 16
    """Requests that one part keeps under way, at most."""
    holders: int = 24
    """Operations of one process that hold bytes in memory at the same time, at most 8 MiB each:
    copies that are streamed, and comparisons."""
    part_seconds: float = 60.0
    """A part that takes longer ends there; its rest goes on as another message."""
    checkpoint_seconds: float = 5.0
    """How often a part that takes long records how far it came."""
    samples: int = 4
    """Places that an increment is compared with its source at before its commit; 0: none."""
    vault_look_seconds: float = 15.0
    """A Recovery Services vault is asked so soon after a job began; then after twice that, and so
    on."""
    vault_wait_seconds: float = 300.0
    """Longest time between two looks at one job of such a vault."""
    vault_mirror_seconds: float = 3600.0
    """So often what such a vault says of an item is taken over, without any job of ours."""
    soft_delete_days: float = 14.0
    """How long a deleted item can be had back, as in Azure's vaults."""
    max_attempts: int = 12
    """How often stalled work is moved on before its job fails with the reason."""
    starts_per_tick: int = 1000
    """Backups that one tick starts, about; those that are due beyond wait for the next tick."""
    start_interval_seconds: float = 0.06
    """Between two starts of a tick, so that a thousand are spread over the minute to the next."""
    blob_requests_per_second: float = 500.0
    blob_bytes_per_second: float = 60.0 * 1024 * 1024
    """What one page blob serves (Azure's targets); their ratio is the break-even of
    `shared.decide.cost`, about 123 KiB."""
    gap_share: float = 0.25
    """Bytes of gaps that may be copied along, by byte that has to be copied. Each is stored again
    by the replica's next snapshot; `inf` counts time alone, 0 moves no gap."""
    listing_gaps: int = 50
    """So many joinable gaps in one answer of a diff make a listing of what is allocated there
    worth its time."""

    def __post_init__(self) -> None:
        """Raises `ValueError` naming the setting that makes no sense."""
        for each in fields(self):
            value, positive = getattr(self, each.name), each.name in _MUST_BE_POSITIVE
            if not (value > 0 if positive else value >= 0):
                wanted = "greater than 0" if positive else "0 or more"
                raise ValueError(f"VAULTLINE_{each.name.upper()} must be {wanted}")

    @property
    def account_requests(self) -> int:
        """Requests to one storage account that a process keeps under way, at most."""
        return max(LEAST_REQUESTS, self.copy_concurrency * PARTS_AT_ONCE)
