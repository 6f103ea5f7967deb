"""Log lines on standard output: time, function, invocation, text."""

import io
import logging
import sys
from collections.abc import Mapping
from contextvars import ContextVar
from datetime import UTC, datetime

HOST = "-"

current_function: ContextVar[str] = ContextVar("current_function", default=HOST)
current_invocation: ContextVar[str] = ContextVar("current_invocation", default=HOST)

log = logging.getLogger("local.host")

_LEVELS = {
    "trace": logging.DEBUG,
    "debug": logging.DEBUG,
    "information": logging.INFO,
    "warning": logging.WARNING,
    "error": logging.ERROR,
    "critical": logging.CRITICAL,
    "none": logging.CRITICAL + 1,
}


class _Lines(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        moment = datetime.fromtimestamp(record.created, UTC).isoformat(timespec="milliseconds")
        function = getattr(record, "function", None) or current_function.get()
        invocation = getattr(record, "invocation", None) or current_invocation.get()
        head = f"{moment.replace('+00:00', 'Z')} {record.levelname:7} {function} {invocation}"
        return f"{head} {super().format(record)}"


def configure(levels: Mapping[str, str]) -> None:
    """Send every logger to standard output; ``levels`` is host.json's ``logLevel``.

    The SDKs log each request at INFO; they are kept at WARNING so that the app can be read.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(line_buffering=True)  # what functions print is wanted at once
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(_Lines("%(message)s"))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(_LEVELS.get(levels.get("default", "Information").casefold(), logging.INFO))
    for noisy in ("azure", "aiohttp.access", "opentelemetry"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
