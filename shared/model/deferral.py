"""Work that is not refused, only not now."""

from shared.model.errors import Transient


class Deferred(Transient):
    """The work may go on `retry_after` seconds from now and not before: a limit of the service
    would be broken, or what was asked for is not ready yet."""

    code = "Deferred"
    action = "Nothing: the work goes on by itself."

    def __init__(self, message: str, *, retry_after: float, code: str | None = None) -> None:
        super().__init__(message, code=code, retry_after=retry_after)
