"""Azure Resource Manager: one place for its address, its credential, its patience and its limits.

Only allow-listed subscriptions are spoken to. A request is repeated a few times within seconds;
where Resource Manager asks for a longer wait, a message waits, never a function. What it carries
out over time is asked after a few times; then the resource itself is the truth.
"""

import ipaddress
import json
from collections.abc import AsyncIterator, Callable, Mapping
from typing import TYPE_CHECKING, Any, TypeVar, cast
from urllib.parse import quote, urlsplit

from azure.core import AsyncPipelineClient
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.pipeline import policies
from azure.core.polling import AsyncNoPolling
from azure.core.rest import HttpRequest
from azure.mgmt.core.policies import AsyncARMChallengeAuthenticationPolicy

from shared.azure.arm_errors import IN_GROUP, arm_translated
from shared.azure.http import ASKED_WAIT, FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS, Pool
from shared.model.arm_ids import ArmScope
from shared.model.cloud import Cloud
from shared.model.deferral import Deferred
from shared.model.errors import Invalid, SourceGone, Transient
from shared.ports import Clock

if TYPE_CHECKING:
    from azure.mgmt.compute.aio import ComputeManagementClient
    from azure.mgmt.recoveryservices.aio import RecoveryServicesClient
    from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient

C = TypeVar("C")
Json = Mapping[str, Any]

REPEATS = 2
CALM_SECONDS = 3.0
"""Most that is waited between two looks at work under way."""
OPERATION_SECONDS = 30.0
"""Work that takes longer is looked after by a message."""
_GROUPS_VERSION = "2021-04-01"
_LAPTOP_TOKEN = "laptop"  # noqa: S105 (opens nothing: the laptop's Resource Manager takes any)


class OperationFailed(Transient):
    """Work that was begun, and came to nothing; its code is the service's."""


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
        self._clients: dict[tuple[Callable[..., Any], str], Any] = {}
        self._options: dict[str, Any] = {
            "transport": pool,
            "policies": _pipeline(_token_policy(self._endpoint, identity)),
        }
        self._plain: AsyncPipelineClient[Any, Any] = AsyncPipelineClient(
            self._endpoint, **self._options
        )

    def compute(self, subscription: str) -> "ComputeManagementClient":
        """The SDK's client for a subscription. Raises `Invalid` where it is not allow-listed."""
        # Imported late, as the others: it is large, and not every app needs it.
        from azure.mgmt.compute.aio import ComputeManagementClient

        return self._client(ComputeManagementClient, subscription)

    def recovery(self, subscription: str) -> "RecoveryServicesClient":
        """The same for Recovery Services vaults themselves."""
        from azure.mgmt.recoveryservices.aio import RecoveryServicesClient

        return self._client(RecoveryServicesClient, subscription)

    def backup(self, subscription: str) -> "RecoveryServicesBackupClient":
        """The same for what is in them."""
        from azure.mgmt.recoveryservicesbackup.aio import RecoveryServicesBackupClient

        return self._client(RecoveryServicesBackupClient, subscription)

    def _client(self, kind: Callable[..., C], subscription: str) -> C:
        self._check_ours(subscription)
        if (kind, subscription) not in self._clients:
            # The pipeline brings its credential with it.
            self._clients[kind, subscription] = kind(
                cast("Any", self), subscription, self._endpoint, **self._options
            )
        return cast("C", self._clients[kind, subscription])

    async def get(self, id_: str, version: str) -> Json:
        """A resource, or a listing's first page, by its id, of providers whose SDKs we do without.
        Raises `SourceGone`; `Invalid` where its subscription is not allow-listed."""
        return await self._asked("GET", id_, version)

    async def put(self, id_: str, version: str, document: Json) -> Json:
        """Makes or changes a resource, and answers it as it then is. Raises as `get`."""
        return await self._asked("PUT", id_, version, document)

    async def output(self, first: FirstAnswer, subject: str, *, by_status: bool = False) -> Json:
        """What work that was begun has come to, followed by its status rather than by its result
        where `by_status`. Raises `Deferred` where it takes longer than `OPERATION_SECONDS`,
        `OperationFailed`, `Transient` where nobody knows of it any more (fault 50)."""
        began, answer, url = self.clock.now(), first.response, ""
        while True:
            done = _done(answer)
            if done is not None:
                return done
            places = _status_url(answer), str(answer.headers.get("Location") or "")
            url = next(filter(None, places if by_status else reversed(places)), url)
            if (self.clock.now() - began).total_seconds() >= OPERATION_SECONDS:
                raise Deferred(f"{subject}: it takes its time", retry_after=15)
            await self.clock.sleep(wait_of(answer))
            answer = await self._look(url, subject)

    async def location_of(self, scope: ArmScope) -> str:
        """The region of a resource group. Raises `SourceGone`, which names it."""
        url = f"{self._endpoint}{scope}?api-version={_GROUPS_VERSION}"
        with arm_translated(f"resource group {scope.group}", IN_GROUP):
            answer = await self._get(url)
        return str(answer.json()["location"])

    async def _asked(self, verb: str, id_: str, version: str, document: Json | None = None) -> Json:
        self._check_ours(id_.split("/")[2].lower())
        url = f"{self._endpoint}{quote(id_)}?api-version={version}"
        with arm_translated(id_, IN_GROUP if document else None):
            request = HttpRequest(verb, url, json=document)
            answer = await self._plain.send_request(request)
            answer.raise_for_status()
        shown: Json = answer.json()
        return shown

    def _check_ours(self, subscription: str) -> None:
        if subscription not in self.cloud.subscriptions:
            raise Invalid(
                f"subscription {subscription} is not one that Vaultline may use",
                action="Correct the id, or add the subscription to VAULTLINE_SUBSCRIPTIONS.",
            )

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


async def pages_of(listing: Any, subject: str) -> AsyncIterator[list[Json]]:
    """A listing of an SDK's, one list a request, in the service's own words. Raises `SourceGone`
    where what is listed does not exist."""
    pages = listing.by_page()
    while True:
        with arm_translated(subject):
            try:
                page = [model.as_dict() async for model in await anext(pages)]
            except StopAsyncIteration:
                return
        yield page


def body_of(document: Json) -> Any:
    """A request's body in the service's own words, whatever the SDK's models are called. As bytes,
    which a repeat sends again."""
    return json.dumps(document).encode()


def wait_of(answer: Any) -> float:
    """How long to wait before looking again: as asked, within reason."""
    return min(float(answer.headers.get(ASKED_WAIT) or 1.0), CALM_SECONDS)


def _done(answer: Any) -> Json | None:
    """The output in an answer; None while the work goes on. Raises `OperationFailed`."""
    if answer.status_code == 202:
        return None
    body = answer.json() if answer.content else {}
    status = body.get("status")
    if status is None and _status_url(answer):
        return None  # what was asked for, as it is while it is being made
    if status is None or status == "Succeeded":
        output: Json = body.get("properties", {}).get("output", {}) if status else body
        return output
    if status in ("Failed", "Canceled"):
        error = body.get("error") or {}
        raise OperationFailed(str(error.get("message", status))[:300], code=error.get("code"))
    return None


def _status_url(answer: Any) -> str:
    return str(answer.headers.get("Azure-AsyncOperation") or "")


def _is_loopback(endpoint: str) -> bool:
    try:
        return ipaddress.ip_address(urlsplit(endpoint).hostname or "").is_loopback
    except ValueError:
        return False
