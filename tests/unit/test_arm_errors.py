"""What Resource Manager refuses, as recorded, and what it means to us."""

import json
from pathlib import Path
from typing import Any

import pytest
from azure.core.exceptions import HttpResponseError, ServiceRequestError
from azure.core.rest import HttpRequest
from azure.mgmt.core.exceptions import ARMErrorFormat

from shared.azure.arm_errors import THROTTLED_SECONDS, arm_translate
from shared.azure.http import ASKED_WAIT
from shared.model.errors import Invalid, SourceGone, Transient, VaultlineError

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"


class Answer:
    """A response as the SDKs see one."""

    reason = "Because"
    content_type = "application/json"

    def __init__(self, status: int, body: Any, headers: dict[str, str] | None = None) -> None:
        self.status_code = status
        self.headers = headers or {}
        self.request = HttpRequest("GET", "https://management.azure.com/x?sig=secret")
        self._text = json.dumps(body) if body is not None else ""

    def text(self, _encoding: str | None = None) -> str:
        return self._text

    def body(self) -> bytes:
        return self._text.encode()


def refusal(status: int, code: str, message: str = "Why.", **headers: str) -> VaultlineError:
    body = {"error": {"code": code, "message": message}}
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    error = HttpResponseError(response=Answer(status, body, named), error_format=ARMErrorFormat)
    return arm_translate(error, "disk d1")


@pytest.mark.parametrize(
    ("status", "code", "kind", "ours"),
    [
        (404, "ResourceNotFound", SourceGone, "SourceNotFound"),
        (404, "NotFound", SourceGone, "SourceNotFound"),
        (404, "ResourceGroupNotFound", SourceGone, "SourceNotFound"),
        (429, "SubscriptionRequestsThrottled", Transient, "SubscriptionRequestsThrottled"),
        (503, "ServerTimeout", Transient, "ServerTimeout"),
        (504, "GatewayTimeout", Transient, "GatewayTimeout"),
        (409, "AnotherOperationInProgress", Transient, "AnotherOperationInProgress"),
        (409, "ScopeLocked", Invalid, "ScopeLocked"),
        (409, "MissingSubscriptionRegistration", Invalid, "MissingSubscriptionRegistration"),
        (403, "AuthorizationFailed", Invalid, "AccessDenied"),
        (403, "LinkedAuthorizationFailed", Invalid, "AccessDenied"),
        (400, "InvalidParameter", Invalid, "InvalidParameter"),
    ],
)
def test_codes_mean(status: int, code: str, kind: type[VaultlineError], ours: str) -> None:
    error = refusal(status, code)
    assert type(error) is kind
    assert error.code == ours
    assert "disk d1" in str(error)
    assert error.action


def test_too_much_is_a_wait_as_long_as_asked() -> None:
    asked = refusal(429, "TooManyRequests", **{ASKED_WAIT: "17"})
    assert isinstance(asked, Transient)
    assert (asked.retry_after, asked.busy) == (17, True)
    unsaid = refusal(429, "TooManyRequests")
    assert isinstance(unsaid, Transient)
    assert unsaid.retry_after == THROTTLED_SECONDS
    for_long = refusal(429, "TooManyRequests", **{ASKED_WAIT: "86400"})
    assert isinstance(for_long, Transient)
    assert (for_long.retry_after or 0) <= 120


def test_no_signature_is_repeated() -> None:
    error = refusal(400, "Odd", "see https://h/c/b?sv=1&sig=secret or sig=secret")
    assert "secret" not in str(error)


def test_a_broken_connection_passes() -> None:
    error = arm_translate(ServiceRequestError("reset by peer"), "disk d1")
    assert isinstance(error, Transient)
    assert error.code == "ConnectionFailed"


@pytest.mark.skipif(not RECORDINGS.exists(), reason="no recordings beside the project")
def test_every_recorded_refusal_means_something() -> None:
    lines = (RECORDINGS / "errors_compute_catalogue.jsonl").read_text().splitlines()
    for row in map(json.loads, lines):
        status, body = row["status"], row["response_body"]
        if status < 400:
            continue
        answer = HttpResponseError(response=Answer(status, body), error_format=ARMErrorFormat)
        error = arm_translate(answer, "it")
        assert isinstance(error, SourceGone) == (status == 404), row
        assert isinstance(error, Transient) == (status in (429, 500, 502, 503, 504)), row
        if status not in (404,):
            assert error.code == body["error"]["code"], row
