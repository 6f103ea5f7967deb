"""Lists in pages, as Resource Manager hands them out."""

from collections.abc import Sequence
from urllib.parse import quote

from local.arm.answers import Answer, ArmError, JsonObject
from local.arm.routing import Call

PAGE = 100


def listed(call: Call, items: Sequence[JsonObject]) -> Answer:
    """One page; `nextLink` leads to the next where there is one."""
    start = _start(call)
    page: dict[str, object] = {"value": list(items[start : start + PAGE])}
    if start + PAGE < len(items):
        page["nextLink"] = _link(call, start + PAGE)
    return Answer(200, page)


def _start(call: Call) -> int:
    token = call.query.get("$skiptoken", "0")
    if not token.isdigit():
        raise ArmError(400, "InvalidSkipToken", f"The skip token '{token}' is invalid.")
    return int(token)


def _link(call: Call, start: int) -> str:
    query = {**call.query, "$skiptoken": str(start)}
    text = "&".join(f"{quote(name, safe='$')}={quote(value)}" for name, value in query.items())
    return f"{call.origin}{quote(call.path, safe='/;')}?{text}"
