"""What the demo found out, and whether that proves the pipeline right."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from cli.demo.filesystem import CLEAN
from cli.demo.traffic import Traffic
from cli.spans import Span
from shared.model.ids import JobId
from shared.model.point import Kind

Trigger = Literal["schedule", "request"]

MOST_COPIED = 1.25
"""An increment may copy so many times what changed."""
LEAST_EACH = 2
"""Backups that the schedule, and that a message, must have made."""

EQUAL, ABSENT = "equal", "absent"
DIFFERS, MISSING, UNEXPECTED = "differs", "missing", "unexpected"


def file_verdict(expected: bytes | None, found: bytes | None) -> str:
    """How a file in a restored image compares with what the disk held; None stands for no file."""
    if expected is None or found is None:
        absent = expected is found
        return ABSENT if absent else MISSING if found is None else UNEXPECTED
    return EQUAL if expected == found else DIFFERS


@dataclass(frozen=True, kw_only=True)
class Seen:
    """A restored disk, read back: the SHA-256 of all of it, what `e2fsck` says (`clean`), and how
    some of its files compare with what they held."""

    sha256: str
    fsck: str
    files: Mapping[str, str]

    def problems(self, sha256: str) -> Iterator[str]:
        """What is wrong with it, if the disk's SHA-256 was `sha256`."""
        if self.sha256 != sha256:
            yield f"the disk's SHA-256 was {sha256}, the restored one's is {self.sha256}"
        if self.fsck != CLEAN:
            yield f"its file system is not clean: {self.fsck}"
        for path, verdict in self.files.items():
            if verdict not in (EQUAL, ABSENT):
                yield f"file {path} is not as it was: {verdict}"


@dataclass(frozen=True, kw_only=True)
class Restored:
    """What a restore brought back; `moved_bytes` is what it copied for that."""

    seen: Seen
    moved_bytes: int
    seconds: float

    def problems(self, sha256: str) -> Iterator[str]:
        """As `Seen.problems`."""
        return self.seen.problems(sha256)

    def view(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "sha256_restored": self.seen.sha256,
            "fsck": self.seen.fsck,
            "files": dict(self.seen.files),
            "restore_bytes": self.moved_bytes,
            "restore_seconds": self.seconds,
        }


@dataclass(frozen=True, kw_only=True)
class PointProof:
    """A recovery point: what its backup did, the source as it was then, and what came back.

    `written_bytes` and `cleared_bytes` were done to the source since the point before, by the
    demo's own count; None where a restore did it.
    """

    id: str
    job_id: JobId
    trigger: Trigger
    kind: str
    changed_bytes: int
    copied_bytes: int
    worker_bytes: int
    requests: int
    seconds: float
    sha256_source: str
    restored: Restored
    written_bytes: int | None
    cleared_bytes: int | None

    def problems(self) -> Iterator[str]:
        yield from self.restored.problems(self.sha256_source)
        if self.kind == Kind.INCREMENTAL:
            changes = [self.changed_bytes, self.written_bytes]
            changed = min(each for each in changes if each is not None)
            if self.copied_bytes > MOST_COPIED * changed:
                yield f"copied {self.copied_bytes} bytes for {changed} changed ones"

    def view(self) -> dict[str, Any]:
        """The public shape."""
        fields = {key: value for key, value in asdict(self).items() if key != "restored"}
        return {**fields, **self.restored.view()}


@dataclass(frozen=True, kw_only=True)
class OriginalProof:
    """The oldest point brought back onto the protected disk itself. `safety` is the point that
    keeps what the disk held before (`safety_source`), `next_point` the backup after."""

    point: str
    sha256_source: str
    restored: Restored
    safety_point: str
    safety_source: str
    safety: Restored
    next_point: str

    def problems(self) -> Iterator[str]:
        yield from self.restored.problems(self.sha256_source)
        for problem in self.safety.problems(self.safety_source):
            yield f"point {self.safety_point}, taken before: {problem}"

    def view(self) -> dict[str, Any]:
        """The public shape."""
        return {
            "point": self.point,
            "sha256_source": self.sha256_source,
            **self.restored.view(),
            "safety_point": {
                "id": self.safety_point,
                "sha256_source": self.safety_source,
                **self.safety.view(),
            },
            "next_point": self.next_point,
        }


@dataclass(frozen=True, kw_only=True)
class Proof:
    """The whole story. `seconds` is from its begin to its end, the stack's start included."""

    image_bytes: int
    points: Sequence[PointProof]
    original: OriginalProof
    traffic: Traffic
    trace_id: str
    """Of the first incremental backup."""
    spans: Sequence[Span] = ()
    """Its timeline."""
    seconds: float = 0.0

    @property
    def worker_bytes(self) -> int:
        """Disk data that functions carried: as the points say or as the storage saw it written,
        whichever is more."""
        recorded = sum(point.worker_bytes for point in self.points)
        return max(recorded, self.traffic.page_bytes_sent)

    @property
    def moved_bytes(self) -> int:
        """Disk data that backups and restores moved."""
        restores = [*(point.restored for point in self.points), self.original.restored]
        copied = sum(point.copied_bytes for point in self.points)
        return copied + sum(each.moved_bytes for each in (*restores, self.original.safety))

    def problems(self) -> list[str]:
        """Everything that must not be, in words; none where all is proved."""
        found = [f"point {point.id}: {said}" for point in self.points for said in point.problems()]
        found += [f"the restored original: {said}" for said in self.original.problems()]
        return [*found, *self._kinds(), *self._paths()]

    def view(self) -> dict[str, Any]:
        """The public shape, which `demo-proof.json` holds."""
        problems = self.problems()
        return {
            "ok": not problems,
            "problems": problems,
            "points": [point.view() for point in self.points],
            "original": self.original.view(),
            "worker_bytes": self.worker_bytes,
            "moved_bytes": self.moved_bytes,
            "server_side_copies": self.traffic.server_side_copies,
            "image_bytes": self.image_bytes,
            "trace_id": self.trace_id,
            "seconds": self.seconds,
        }

    def _kinds(self) -> Iterator[str]:
        for point in self.points[1:]:
            if point.kind != Kind.INCREMENTAL:
                yield f"point {point.id}: it is {point.kind}, not incremental"
        triggers = [point.trigger for point in self.points]
        for trigger in ("schedule", "request"):
            if triggers.count(trigger) < LEAST_EACH:
                yield f"fewer than {LEAST_EACH} points came by {trigger}"

    def _paths(self) -> Iterator[str]:
        if self.worker_bytes:
            yield f"{self.worker_bytes} bytes of disk data passed through functions"
        if not self.traffic.server_side_copies:
            yield "the storage counted no server-side copy"
