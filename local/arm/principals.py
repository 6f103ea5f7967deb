"""Who is asking: read off the bearer token, which is believed, never checked."""

import base64
import hashlib
import json
from contextlib import suppress

from local.arm.answers import ArmError

_CLAIMS = ("oid", "appid", "sub")


def principal_of(authorization: str | None) -> str:
    """The caller's object id where the token is a JWT that has one, else a digest of the token.

    Raises 401 AuthenticationFailed without a bearer token.
    """
    scheme, _, token = (authorization or "").partition(" ")
    if scheme.casefold() != "bearer" or not token.strip():
        raise ArmError(
            401,
            "AuthenticationFailed",
            "Authentication failed. The 'Authorization' header is missing.",
        )
    return _claim(token) or hashlib.sha256(token.encode()).hexdigest()[:16]


def _claim(token: str) -> str | None:
    with suppress(ValueError, AttributeError, IndexError):
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        return next((str(claims[name]) for name in _CLAIMS if name in claims), None)
    return None
