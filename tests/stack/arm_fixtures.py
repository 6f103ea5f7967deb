"""A fake ARM over the session's storage, spoken to by the real SDKs.

PYTEST_DONT_REWRITE: test modules import its types, too, so it is loaded before it is registered.
"""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from aiohttp import ClientSession
from azure.core.credentials import AccessToken
from azure.core.pipeline import PipelineRequest
from azure.core.pipeline.policies import SansIOHTTPPolicy
from azure.mgmt.compute.aio import ComputeManagementClient

from local.arm.app import Settings, open_server
from local.arm.compute.kinds import Pace, Terms
from tests.stack.azurite_fixtures import RunningStorage

SUBSCRIPTION = "11111111-2222-3333-4444-555555555555"
GROUP = "rg-app"
REGION = "westeurope"
TOKEN = "somebody"

AT_ONCE = Pace(*(0.0 for _ in range(len(Pace.__dataclass_fields__))))
"""Work that takes no time, so that a test needs no fast clock."""


class FakeCredential:
    """A token that is believed."""

    async def get_token(self, *_: str, **__: Any) -> AccessToken:
        return AccessToken(TOKEN, 2**31)

    async def close(self) -> None:
        pass

    async def __aenter__(self) -> "FakeCredential":
        return self

    async def __aexit__(self, *_: object) -> None:
        pass


class PlainHttpToken(SansIOHTTPPolicy[Any, Any]):
    """The SDK's own policies refuse to send a token over plain http; this one does not."""

    def on_request(self, request: PipelineRequest[Any]) -> None:
        request.http_request.headers["Authorization"] = f"Bearer {TOKEN}"


def sdk_options(origin: str) -> dict[str, Any]:
    """What any management client needs to speak to the fake; nothing is retried."""
    return {
        "credential": FakeCredential(),
        "base_url": origin,
        "credential_scopes": ["https://management.azure.com/.default"],
        "authentication_policy": PlainHttpToken(),
        "retry_total": 0,
        "polling_interval": 1,
    }


@dataclass
class Arm:
    """A running fake and the ways to speak to it."""

    origin: str
    http: ClientSession = field(repr=False)

    @property
    def group_path(self) -> str:
        return f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{GROUP}"

    def id_of(self, kind: str, name: str) -> str:
        """The ARM id of one of our compute resources."""
        return f"{self.group_path}/providers/Microsoft.Compute/{kind}/{name}"

    def compute(self, **options: Any) -> ComputeManagementClient:
        return ComputeManagementClient(
            subscription_id=SUBSCRIPTION, **{**sdk_options(self.origin), **options}
        )

    async def call(
        self, method: str, path: str, body: Any = None, *, version: str = "2024-07-01"
    ) -> tuple[int, Any, dict[str, str]]:
        """A raw request: status, JSON body (None where empty), headers."""
        url = f"{self.origin}{path}{'&' if '?' in path else '?'}api-version={version}"
        headers = {"Authorization": f"Bearer {TOKEN}"}
        async with self.http.request(method, url, json=body, headers=headers) as answer:
            content = await answer.read()
            parsed = await answer.json() if content else None
            return answer.status, parsed, dict(answer.headers)

    async def make_group(self, group: str = GROUP, location: str = REGION) -> None:
        path = f"/subscriptions/{SUBSCRIPTION}/resourceGroups/{group}"
        await self.call("PUT", path, {"location": location}, version="2021-04-01")


@asynccontextmanager
async def running_arm(settings: Settings) -> AsyncIterator[Arm]:
    """A fake with one resource group, for the time of the block."""
    async with open_server(settings) as server, ClientSession() as http:
        arm = Arm(server.origin, http)
        await arm.make_group()
        yield arm


def settings_for(storage: RunningStorage, **changes: Any) -> Settings:
    """Work at once, no throttling, state in memory, unless changed."""
    return replace(Settings(storage.endpoint, terms=Terms(pace=AT_ONCE)), **changes)


@pytest.fixture
async def arm(storage: RunningStorage) -> AsyncIterator[Arm]:
    """A fake whose work takes no time."""
    async with running_arm(settings_for(storage)) as running:
        yield running
