"""How patient and how parallel the pipeline is."""

from dataclasses import dataclass


@dataclass(frozen=True, kw_only=True)
class Pace:
    """Settings, with defaults for Azure; each by `VAULTLINE_<NAME>`."""

    stall_seconds: float = 120.0
    """No progress for so long: the reconciler moves the work on."""
    rest_seconds: float = 300.0
    """An item at rest is watched for so long before its watch ends."""
    copy_concurrency: int = 16
    """Requests that one part keeps under way."""
    max_attempts: int = 12
    """How often stalled work is moved on before its job fails with the reason."""
