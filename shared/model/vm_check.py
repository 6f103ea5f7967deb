"""What a check of a virtual machine says: what stands between it and its backups."""

from dataclasses import dataclass
from enum import StrEnum

from shared.model.ids import DiskUrl, ItemId


class State(StrEnum):
    OK = "ok"
    WARNING = "warning"
    """Backups work, or may work, and something is not as it should be."""
    PROBLEM = "problem"
    """Backups fail, or give less than was asked for, until it is put right."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing that was looked at. `code` is stable; `seen` says what is there, `fix` what to do
    about it: a command, or where to find the switch. A finding that is ok has no fix."""

    code: str
    subject: str
    state: State
    seen: str
    fix: str = ""


@dataclass(frozen=True, kw_only=True)
class Protectors:
    """Who protects the machine already: an item of ours, a Recovery Services vault."""

    item: ItemId | None = None
    vault: str = ""
    """The id of a Recovery Services vault; empty where there is none, or nobody could ask."""
    own_vault: bool = False
    """Whether the item is the one that this vault holds."""


@dataclass(frozen=True, kw_only=True)
class Report:
    machine: DiskUrl
    findings: tuple[Finding, ...]

    @property
    def state(self) -> State:
        """The worst of all."""
        found = {finding.state for finding in self.findings}
        return next((each for each in reversed(State) if each in found), State.OK)


def ok(code: str, subject: str, seen: str) -> Finding:
    return Finding(code=code, subject=subject, state=State.OK, seen=seen)


def warning(code: str, subject: str, seen: str, fix: str) -> Finding:
    return Finding(code=code, subject=subject, state=State.WARNING, seen=seen, fix=fix)


def problem(code: str, subject: str, seen: str, fix: str) -> Finding:
    return Finding(code=code, subject=subject, state=State.PROBLEM, seen=seen, fix=fix)
