"""What Table storage accepts as keys and transactions, checked before a request is made."""

import re
from collections.abc import Sequence

from shared.model.errors import Invalid
from shared.model.ledger import TRANSACTION_ROWS, Delete, RowChange, key_of

_FORBIDDEN = re.compile(r"[/\\#?\x00-\x1f\x7f-\x9f]")
KEY_CHARACTERS = 512
"""Most characters of a key (1 KiB of UTF-16)."""


def check_key(key: str) -> str:
    """`key`, where Table storage accepts it. Raises `Invalid`."""
    if len(key) > KEY_CHARACTERS or _FORBIDDEN.search(key):
        raise Invalid(
            rf"'{key[:60]}' cannot be a row's key: at most {KEY_CHARACTERS} characters, "
            r"none of them / \ # ? or a control character"
        )
    return key


def change_key(change: RowChange) -> str:
    """The row that `change` is about."""
    return key_of(change.record)


def check_transaction(changes: Sequence[RowChange]) -> None:
    """Raises `Invalid` where the service would refuse the transaction whatever the rows hold."""
    if len(changes) > TRANSACTION_ROWS:
        raise Invalid(f"a transaction changes {len(changes)} rows, more than {TRANSACTION_ROWS}")
    keys = [check_key(change_key(change)) for change in changes]
    repeated = {key for key in keys if keys.count(key) > 1}
    if repeated:
        raise Invalid(f"a transaction changes '{min(repeated)}' twice")


def unconditional(change: RowChange) -> bool:
    """A deletion that is content with a missing row."""
    return isinstance(change, Delete) and change.etag is None
