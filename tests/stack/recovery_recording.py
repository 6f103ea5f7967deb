"""Recordings of exchanges with Recovery Services, read for a replay."""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import Any

from tests.unit.recovery_world import MemoryVm

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
_VAULT = re.compile(r"(?i)/providers/Microsoft\.RecoveryServices(?:BVTD)?/")
_MACHINE = re.compile(
    r"(?i)/subscriptions/([^/]+)/resourceGroups/([^/]+)"
    r"/providers/Microsoft\.Compute/virtualMachines/([^/\"?]+)"
)
_POLLED = re.compile(r"(?i)operation(s|sStatus|Results|Status)?/|backupJobs/|/vaults/[^/]+$")
_OPERATION = re.compile(r"(?i)operation(s|sStatus|Results|Status)/")
_DURATION = re.compile(r"PT(?:(\d+)H)?(?:(\d+)M)?(?:([\d.]+)S)?")


@dataclass(frozen=True)
class Exchange:
    """One recorded request and its answer."""

    seq: int | str
    method: str
    path: str
    query: str
    request: Any
    status: int
    headers: Mapping[str, str]
    body: Any

    @property
    def is_ours(self) -> bool:
        return _VAULT.search(self.path) is not None

    @property
    def is_disturbance(self) -> bool:
        """An answer that no state of the service explains, or only what others did to the vault."""
        vanished = self.status == 404 and "/backupOperations/" in self.path
        return self.status >= 500 or self.status == 429 or vanished

    @property
    def below_vault(self) -> str:
        return _VAULT.split(self.path, maxsplit=1)[-1]

    @property
    def shows(self) -> str:
        """What a poll shows of the thing it asks for."""
        return shown(self.status, self.body)


def shown(status: int, body: Any) -> str:
    if not isinstance(body, dict) or not body:
        return str(status)
    properties = body.get("properties") if isinstance(body.get("properties"), dict) else {}
    tasks = (properties.get("extendedInfo") or {}).get("tasksList") or []
    states = [properties.get("provisioningState"), body.get("status"), properties.get("status")]
    return json.dumps([status, *states, *[task["status"] for task in tasks]])


def load(name: str) -> list[Exchange]:
    lines = (RECORDINGS / f"{name}.jsonl").read_text().splitlines()
    return [_exchange(json.loads(line)) for line in lines]


def _exchange(line: Mapping[str, Any]) -> Exchange:
    return Exchange(
        line["seq"],
        line["method"],
        line["path"],
        line.get("query") or "",
        line.get("request_body"),
        line["status"],
        line["response_headers"],
        line.get("response_body"),
    )


def runs(exchanges: Sequence[Exchange]) -> Iterator[list[Exchange]]:
    """Polls of one URL that follow each other are one run; a disturbance is one of its own."""
    run: list[Exchange] = []
    for each in exchanges:
        follows = run and each.method == "GET" and (each.method, each.path, each.query) == (
            run[-1].method, run[-1].path, run[-1].query)  # fmt: skip
        if run and (not follows or each.is_disturbance or run[-1].is_disturbance):
            yield run
            run = []
        run.append(each)
    if run:
        yield run


def is_polled(exchange: Exchange) -> bool:
    """Operations, jobs, and a vault that is being made."""
    return exchange.method == "GET" and bool(_POLLED.search(exchange.path))


def makes_vault(exchange: Exchange) -> bool:
    return (
        exchange.method == "PUT" and re.fullmatch(r"vaults/[^/]+", exchange.below_vault) is not None
    )


def may_be_missed(wanted: Sequence[Exchange]) -> bool:
    """An operation's InProgress: it may have been over by the first poll."""
    return (
        len(wanted) > 1
        and "InProgress" in wanted[0].shows
        and bool(_OPERATION.search(wanted[0].path))
    )


def still(exchange: Exchange, shows: str, before: str | None) -> bool:
    """Whether what a poll shows is what was there before, or the start of it all."""
    starts = shows == "202" or "Provisioning" in shows
    runs_still = "InProgress" in shows and bool(_OPERATION.search(exchange.path))
    return shows == before or (before is None and (starts or runs_still))


def elapsed(body: Any) -> timedelta | None:
    """How long a job that runs has run."""
    properties = body.get("properties") if isinstance(body, dict) else None
    text = (properties or {}).get("duration") if isinstance(properties, dict) else None
    if not text or "endTime" in (properties or {}):
        return None
    match = _DURATION.fullmatch(text)
    if match is None:
        return None
    hours, minutes, seconds = (float(each or 0) for each in match.groups())
    return timedelta(hours=hours, minutes=minutes, seconds=seconds)


def machines_in(exchanges: Sequence[Exchange]) -> list[MemoryVm]:
    """Every machine that a recording names, in the spelling it is named in first."""
    found: dict[str, MemoryVm] = {}
    texts = [json.dumps([each.body, each.request]) for each in exchanges]
    for subscription, group, name in (m for text in texts for m in _MACHINE.findall(text)):
        vm_id = (
            f"/subscriptions/{subscription}/resourceGroups/{group}"
            f"/providers/Microsoft.Compute/virtualMachines/{name}"
        )
        found.setdefault(vm_id.casefold(), MemoryVm(vm_id, name, group))
    return list(found.values())
