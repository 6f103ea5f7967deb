"""What the VMSnapshot extension writes of its work, in our words.

It writes the same document into the status blob and, as text, into a sub-status of the extension
that the machine's instance view shows. Whatever is not as expected is left out: a status is read
to help a person, and never decides anything about bytes.
"""

import json
import re
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit

from shared.decide.extension_errors import BY_NUMBER, SUCCEEDED
from shared.model.errors import Invalid
from shared.model.machine import Consistency
from shared.model.vm_snapshot import DiskSnapshot, Outcome, SnapshotStatus, moment_of

Json = Mapping[str, Any]

_OUTCOMES = {
    "success": Outcome.SUCCEEDED,
    "warning": Outcome.SUCCEEDED,
    "error": Outcome.FAILED,
}
_CONSISTENCY = {
    1: Consistency.FILE_SYSTEM,
    2: Consistency.APPLICATION,
    3: Consistency.CRASH,
}
_BY_CODE = {0: Consistency.APPLICATION, 1: Consistency.FILE_SYSTEM}
_DATE = re.compile(r"/Date\((-?\d{1,15})\)/")
_URL_QUERY = re.compile(r"(https?://[^\s?\"'<>]+)\?[^\s\"'<>]*")
_SECRET = re.compile(r"(?i)\b(sig|accountkey|sharedaccesskey|sharedaccesssignature)=[^&;\s\"']+")
_TEXT_CHARACTERS = 500


def read_status(text: str) -> SnapshotStatus:
    """The status in a status blob's text. Raises `Invalid` where it is none; never repeats it."""
    found = list(_reports(_json(text)))
    if not found:
        raise Invalid(
            "this is no status of the VMSnapshot extension",
            action="Give the content of the status blob, or of the extension's status file.",
        )
    return _meaning(found[-1])


def read_instance(extension: Json) -> SnapshotStatus | None:
    """The status in an extension's part of the instance view; None where there is none yet."""
    for sub in (*(extension.get("substatuses") or ()), *(extension.get("statuses") or ())):
        reports = list(_reports(_json(str(sub.get("message") or ""))))
        if reports:
            return _meaning(reports[-1])
    return None


def told(text: str) -> str:
    """What a status message says: the extension wraps its words in JSON. One line, without
    signatures (invariant 10)."""
    response = _response(text)
    return _clean(str(response.get("messageStr") or text))


def _response(text: str) -> Json:
    found = _json(text)
    return found if isinstance(found, Mapping) else {}


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:
        return None


def _reports(document: Any) -> Iterator[Json]:
    """The reports in a document; in a status file the report is the text of a sub-status."""
    for top in document if isinstance(document, list) else ():
        if not isinstance(top, Mapping) or not isinstance(top.get("status"), Mapping):
            continue
        inner = [
            report
            for sub in _mappings(top["status"].get("substatus"))
            for report in _reports(_json(_message(sub) or str(sub.get("name") or "")))
        ]
        yield from inner or [top]


def _mappings(value: Any) -> Iterator[Json]:
    for each in value if isinstance(value, list) else ():
        if isinstance(each, Mapping):
            yield each


def _meaning(report: Json) -> SnapshotStatus:
    status = report["status"]
    code = _number(status.get("code"), 2)
    message = _message(status)
    known = BY_NUMBER.get(code)
    return SnapshotStatus(
        outcome=_outcome(str(status.get("status", "")), code),
        code=code,
        name=known.code if known else f"code {code}",
        message=told(message),
        action=known.action if known and code not in SUCCEEDED else "",
        operation=str(status.get("operation") or ""),
        task_id=str(status.get("taskId") or ""),
        starts_at=_ticks(status.get("commandStartTimeUTCTicks")),
        reported_at=_date(str(report.get("timestampUTC") or "")),
        consistency=_consistency(code, _response(message)),
        disks=_disks(status.get("snapshotInfo")),
        version=str(report.get("version") or ""),
    )


def _outcome(status: str, code: int) -> Outcome:
    """A failure shows as success to the agent, so that other extensions go on: the code tells."""
    outcome = _OUTCOMES.get(status.casefold(), Outcome.RUNNING)
    if outcome is Outcome.SUCCEEDED and code not in SUCCEEDED:
        return Outcome.RUNNING if code == 4 else Outcome.FAILED
    return outcome


def _consistency(code: int, response: Json) -> Consistency | None:
    """As the extension says; older ones say it by their code alone."""
    if "snapshotConsistency" in response:
        return _CONSISTENCY.get(_number(response["snapshotConsistency"], 0))
    return _BY_CODE.get(code)


def _message(status: Json) -> str:
    message = status.get("formattedMessage")
    return str(message.get("message") or "") if isinstance(message, Mapping) else ""


def _disks(value: Any) -> tuple[DiskSnapshot, ...]:
    return tuple(
        DiskSnapshot(
            url=_bare(str(each.get("snapshotUri") or each.get("blobUri") or "")),
            succeeded=bool(each.get("isSuccessful")),
            message=_clean(str(each.get("errorMessage") or "")),
        )
        for each in _mappings(value)
    )


def _bare(url: str) -> str:
    """Without what could open it; a snapshot's time stays. Empty where it is no URL."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return ""
    kept = [each for each in parts.query.split("&") if each.startswith("snapshot=")]
    return parts._replace(query="&".join(kept), fragment="").geturl()


def _clean(text: str) -> str:
    """One line, without signatures (invariant 10)."""
    line = _SECRET.sub(r"\1=…", _URL_QUERY.sub(r"\1?…", " ".join(text.split())))
    return line[:_TEXT_CHARACTERS]


def _number(value: Any, otherwise: int) -> int:
    try:
        return int(value)
    except (TypeError, ValueError):
        return otherwise


def _ticks(value: Any) -> datetime | None:
    try:
        return moment_of(int(value))
    except (TypeError, ValueError):
        return None


def _date(text: str) -> datetime | None:
    """`/Date(milliseconds)/`, as .NET writes it, or ISO."""
    try:
        if found := _DATE.fullmatch(text):
            return datetime.fromtimestamp(int(found[1]) / 1000, UTC)
        at = datetime.fromisoformat(text)
    except (ValueError, OverflowError, OSError):
        return None
    return at if at.tzinfo else at.replace(tzinfo=UTC)
