"""Azure Resource Manager: one place for its address, its credential, its patience and its limits.

Only allow-listed subscriptions are spoken to. A request is repeated a few times within seconds;
where Resource Manager asks for a longer wait, a message waits, never a function. What it carries
out over time is asked after a few times; then the resource itself is the truth.
"""

import ipaddress
import json
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any, cast
from urllib.parse import urlsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import policies
from azure.core.polling import AsyncNoPolling
from azure.core.rest import HttpRequest
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy

from shared.azure.arm_errors import arm_translated
from shared.azure.http import ASKED_WAIT, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Pool
from shared.model.arm_ids import ArmScope
from shared.model.cloud import Cloud
from shared.model.deferral import Deferred
from shared.model.errors import Invalid, SourceGone, Transient
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.mgmt.compute.aio import ComputeManagementClient

Json = Mapping[str, Any]

REPEATS = 2
CALM_SECONDS = 3.0
"""Most that is waited between two looks at work under way."""
OPERATION_SECONDS = 30.0
"""Work that takes longer is looked after by a message."""
_GROUPS_VERSION = "2021-04-01"
_LAPTOP_TOKEN = "laptop"  # noqa: S105 (opens nothing: the laptop's Resource Manager takes any)


class Patience(policies.AsyncRetryPolicy[Any, Any]):
    """Few repeats within seconds; none of what was refused as too much, which has its wait."""

    def __init__(self) -> None:
        super().__init__(
            retry_total=REPEATS,
            retry_backoff_factor=FIRST_WAIT_SECONDS,
            retry_backoff_max=LONGEST_WAIT_SECONDS,
        )

    def is_retry(self, settings: dict[str, Any], response: Any) -> bool:
        if response.http_response.status_code == 429:
            return False
        return bool(super().is_retry(settings, response))


class LaptopToken(policies.SansIOHTTPPolicy[Any, Any]):
    """The laptop's Resource Manager wants a token, and believes any. It speaks plain http, over
    which no real token must ever go: so this one is no secret."""

    def on_request(self, request: Any) -> None:
        request.http_request.headers["Authorization"] = f"Bearer {_LAPTOP_TOKEN}"


class FirstAnswer(AsyncNoPolling[Any]):
    """Keeps what the service said first about work that takes its time; asking on is ours."""

    response: Any

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]

    def initialize(self, client: Any, initial_response: Any, deserialization_callback: Any) -> None:
        super().initialize(client, initial_response, deserialization_callback)
        self.response = initial_response.http_response


class Arm:
    """The connection. Make it on the running loop; nothing is requested yet. Raises `Invalid`
    where the endpoint is neither Azure's nor the laptop's."""

    def __init__(
        self,
        cloud: Cloud,
        identity: Callable[[], AsyncTokenCredential],
        pool: Pool,
        clock: Clock,
    ) -> None:
        self.cloud = cloud
        self.clock = clock
        self._endpoint = cloud.endpoint.rstrip("/")
        self._host = urlsplit(self._endpoint).netloc
        self._clients: dict[str, ComputeManagementClient] = {}
        self._options: dict[str, Any] = {
            "transport": pool,
            "policies": _pipeline(_token_policy(self._endpoint, identity)),
        }
        self._plain: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
            self._endpoint, **self._options
        )

    def compute(self, subscription: str) -> "ComputeManagementClient":
        """The SDK's client for a subscription. Raises `Invalid` where it is not allow-listed."""
        if subscription not in self.cloud.subscriptions:
            raise Invalid(
                f"subscription {subscription} is not one that Vaultline may use",
                action="Correct the id, or add the subscription to VAULTLINE_SUBSCRIPTIONS.",
            )
        if subscription not in self._clients:
            # Imported late: it is large, and an app without managed disks never needs it.
            from azure.mgmt.compute.aio import ComputeManagementClient

            # The pipeline brings its credential with it.
            self._clients[subscription] = ComputeManagementClient(
                cast("Any", self), subscription, self._endpoint, **self._options
            )
        return self._clients[subscription]

    async def output(self, first: FirstAnswer, subject: str) -> Json:
        """What work that was begun has come to. Raises `Deferred` where it takes longer than
        `OPERATION_SECONDS`, `Transient` where nobody knows of it any more (fault 50)."""
        began, answer, url = self.clock.now(), first.response, ""
        while True:
            done = _done(answer)
            if done is not None:
                return done
            url = answer.headers.get("Location") or _status_url(answer) or url
            if (self.clock.now() - began).total_seconds() >= OPERATION_SECONDS:
                raise Deferred(f"{subject}: it takes its time", retry_after=15)
            await self.clock.sleep(wait_of(answer))
            answer = await self._look(url, subject)

    async def location_of(self, scope: ArmScope) -> str:
        """The region of a resource group. Raises `SourceGone`."""
        url = f"{self._endpoint}{scope}?api-version={_GROUPS_VERSION}"
        with arm_translated(f"resource group {scope.group}"):
            answer = await self._get(url)
        return str(answer.json()["location"])

    async def _look(self, url: str, subject: str) -> Any:
        """The answer at a status URL, which must be Resource Manager's: it gets our token."""
        if urlsplit(url).netloc != self._host:
            raise Transient(f"{subject}: its status is not Resource Manager's", code="StrayStatus")
        try:
            with arm_translated(subject):
                return await self._get(url)
        except SourceGone:
            text = f"{subject}: nobody knows of the operation any more"
            raise Transient(text, code="OperationGone") from None

    async def _get(self, url: str) -> Any:
        answer = await self._plain.send_request(HttpRequest("GET", url))
        answer.raise_for_status()
        return answer


def _pipeline(token: Any) -> list[Any]:
    """As the SDK's own, without what would log, follow redirects to other hosts, or register
    resource providers."""
    return [
        policies.RequestIdPolicy(),
        policies.HeadersPolicy(),
        policies.UserAgentPolicy(base_user_agent="vaultline"),
        policies.ContentDecodePolicy(),
        Patience(),
        token,
        policies.DistributedTracingPolicy(),
    ]


def _token_policy(endpoint: str, identity: Callable[[], AsyncTokenCredential]) -> Any:
    """Raises `Invalid` where a real token would go over plain http."""
    if _is_loopback(endpoint):
        return LaptopToken()
    if not endpoint.startswith("https://"):
        raise Invalid("setting VAULTLINE_ARM: an https address is expected")
    return AsyncARMChallengeAuthenticationPolicy(_Late(identity), f"{endpoint}/.default")


class _Late:
    """The app's identity, made when the first token is asked for."""

    def __init__(self, identity: Callable[[], AsyncTokenCredential]) -> None:
        self._identity = identity

    def __getattr__(self, name: str) -> Any:
        return getattr(self._identity(), name)


def body_of(document: Json) -> Any:
    """A request's body in the service's own words, whatever the SDK's models are called. As bytes,
    which a repeat sends again."""
    return json.dumps(document).encode()


def wait_of(answer: Any) -> float:
    """How long to wait before looking again: as asked, within reason."""
    return min(float(answer.headers.get(ASKED_WAIT) or 1.0), CALM_SECONDS)


def _done(answer: Any) -> Json | None:
    """The output in an answer; None while the work goes on. Raises `Transient` where it failed."""
    if answer.status_code == 202:
        return None
    body = answer.json() if answer.content else {}
    status = body.get("status")
    if status is None or status == "Succeeded":
        output: Json = body.get("properties", {}).get("output", {}) if status else body
        return output
    if status in ("Failed", "Canceled"):
        error = body.get("error") or {}
        raise Transient(str(error.get("message", status))[:300], code=error.get("code"))
    return None


def _status_url(answer: Any) -> str:
    return str(answer.headers.get("Azure-AsyncOperation") or "")


def _is_loopback(endpoint: str) -> bool:
    try:
        return ipaddress.ip_address(urlsplit(endpoint).hostname or "").is_loopback
    except ValueError:
        return False
