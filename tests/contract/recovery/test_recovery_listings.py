"""Listings that come to no good end are never taken for whole (faults 17 and 55)."""

from collections.abc import AsyncIterator
from typing import Any

import pytest

from shared.azure import arm
from shared.azure.recovery.vaults import AzureRecoveryVaults
from shared.model.errors import Transient
from tests.contract.recordings.playing import AZURE, Client, client_of
from tests.contract.recovery.world import VAULT
from tests.stack.recovery_recording import Exchange

pytestmark = pytest.mark.stack

PATH = f"{VAULT.url}/backupProtectableItems"
MACHINE = "/subscriptions/{}/resourceGroups/g/providers/Microsoft.Compute/virtualMachines/vm1"


def page(*machines: str, token: str = "") -> Exchange:
    rows = [{"properties": {"virtualMachineId": machine}} for machine in machines]
    following = {"nextLink": f"{AZURE}{PATH}?$skipToken={token}"} if token else {}
    return answer({"value": rows, **following})


def answer(body: Any, status: int = 200) -> Exchange:
    return Exchange(1, "GET", PATH, "", None, status, {}, body)


@pytest.fixture
async def client(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Client]:
    monkeypatch.setattr(arm, "REPEATS", 0)
    async with client_of([page()]) as opened:
        yield opened


async def listed(client: Client, *pages: Exchange) -> list[list[str]]:
    client.play(pages, same_query=False)
    listing = AzureRecoveryVaults(client.arm).protectable(VAULT)
    return [[str(machine) for machine in page] async for page in listing]


@pytest.mark.fault(55)
async def test_an_empty_page_is_not_the_last(client: Client) -> None:
    machine = MACHINE.format(VAULT.url.split("/")[2])
    found = await listed(client, page(token="a"), page(machine, token="b"), page())
    assert found == [[], [machine.lower()], []]
    assert client.wrong == []


@pytest.mark.fault(17)
async def test_a_listing_that_goes_in_circles(client: Client) -> None:
    with pytest.raises(Transient) as failed:
        await listed(client, page(token="a"), page(token="a"), page())
    assert failed.value.code == "ListingLoop"


@pytest.mark.fault(17)
async def test_a_listing_that_breaks_off(client: Client) -> None:
    for broken in (answer(None), answer({"error": {"code": "GatewayTimeout"}}, 504)):
        with pytest.raises(Transient):
            await listed(client, page(token="a"), broken)
