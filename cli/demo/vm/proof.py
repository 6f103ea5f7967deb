"""What the demo of virtual machines found out."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from cli.demo.proof import Seen, Trigger
from shared.model.ids import ItemId, PointId
from shared.model.point import Point
from shared.steps.views import point_view

RestoreKind = Literal["disks", "alternate", "original"]
KINDS: tuple[RestoreKind, ...] = ("disks", "alternate", "original")


@dataclass(frozen=True, kw_only=True)
class BackupProof:
    """A recovery point of a machine, and who asked for it."""

    point: Point
    trigger: Trigger

    def view(self) -> dict[str, Any]:
        """The public shape."""
        point = self.point
        return {
            "id": point.id,
            "item_id": point.item_id,
            "trigger": self.trigger,
            "kind": point.kind.value,
            "consistency": point.consistency.value if point.consistency else None,
            "consistency_reason": point.consistency_reason,
            "tiers": [tier.value for tier in point.tiers],
            "copied_bytes": point_view(point)["copied_bytes"],
        }


@dataclass(frozen=True, kw_only=True)
class DiskProof:
    """One disk that came back: which, what it held when it was backed up, what it holds now."""

    disk: str
    sha256_source: str
    seen: Seen

    def problems(self) -> Iterator[str]:
        return self.seen.problems(self.sha256_source)

    def view(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "disk": self.disk,
            "sha256_source": self.sha256_source,
            "sha256_restored": self.seen.sha256,
            "fsck": self.seen.fsck,
            "files": dict(self.seen.files),
        }


@dataclass(frozen=True, kw_only=True)
class RestoreProof:
    """A restore of a machine's point: every disk of it."""

    item: ItemId
    point: PointId
    kind: RestoreKind
    disks: Sequence[DiskProof]
    seconds: float

    def problems(self) -> Iterator[str]:
        for disk in self.disks:
            for problem in disk.problems():
                yield f"{self.kind} restore of {self.point}, {disk.disk}: {problem}"

    def view(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "item_id": self.item,
            "point": self.point,
            "kind": self.kind,
            "seconds": self.seconds,
            "disks": [disk.view() for disk in self.disks],
        }


@dataclass(frozen=True, kw_only=True)
class MachineProof:
    """One machine's story; `vault` is the kind of vault that it was in, `disks` how many it has."""

    item: ItemId
    vault: str
    disks: int
    backups: Sequence[BackupProof]
    restores: Sequence[RestoreProof]

    def problems(self) -> Iterator[str]:
        for restore in self.restores:
            yield from restore.problems()
            if len(restore.disks) != self.disks:
                yield f"{restore.kind} restore of {restore.point}: {len(restore.disks)} disks"
        for kind in KINDS:
            if kind not in {restore.kind for restore in self.restores}:
                yield f"{self.item}: no restore of kind {kind}"
        for trigger in ("schedule", "request"):
            if trigger not in {backup.trigger for backup in self.backups}:
                yield f"{self.item}: no backup by {trigger}"

    def view(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "item_id": self.item,
            "vault": self.vault,
            "backups": [backup.view() for backup in self.backups],
            "restores": [restore.view() for restore in self.restores],
        }


@dataclass(frozen=True, kw_only=True)
class VmProof:
    """The whole story."""

    machines: Sequence[MachineProof]
    seconds: float = 0.0

    def problems(self) -> list[str]:
        """Everything that must not be, in words; none where all is proved."""
        return [problem for machine in self.machines for problem in machine.problems()]

    def view(self) -> dict[str, Any]:
        """The public shape, which `demo-proof.json` holds."""
        problems = self.problems()
        return {
            "ok": not problems,
            "problems": problems,
            "machines": [machine.view() for machine in self.machines],
            "seconds": self.seconds,
        }
