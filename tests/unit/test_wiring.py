"""Wiring: ports from settings, without side effects, and without showing a secret."""

import asyncio
import json
import subprocess
import sys
from dataclasses import replace

import pytest

from shared.azure.errors import scrub, translate
from shared.config import Settings, read_settings
from shared.model.errors import Invalid, VaultlineError
from shared.model.expiry import Guard
from shared.model.ids import DiskUrl
from shared.model.pace import Pace
from shared.wiring import Wiring

KEY = "c2VjcmV0LWtleS1vZi10aGUtYWNjb3VudA=="
STORAGE = (
    "DefaultEndpointsProtocol=http;AccountName=acct;"
    f"AccountKey={KEY};BlobEndpoint=http://127.0.0.1:1/acct;TableEndpoint=http://127.0.0.1:1/acct"
)
BUS = f"Endpoint=sb://127.0.0.1:1;SharedAccessKeyName=x;SharedAccessKey={KEY}"


ENVIRONMENT = {
    "VAULTLINE_STATE": STORAGE,
    "VAULTLINE_ACCOUNTS": json.dumps({"acct": STORAGE}),
    "ServiceBusConnection": BUS,
}


def settings() -> Settings:
    return read_settings(
        {**ENVIRONMENT, "VAULTLINE_COPY_CONCURRENCY": "5", "VAULTLINE_LEAST_POINTS": "4"}
    )


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("VAULTLINE_BLOB_REQUESTS_PER_SECOND", "0"),
        ("VAULTLINE_BLOB_BYTES_PER_SECOND", "-1"),
        ("VAULTLINE_BLOB_BYTES_PER_SECOND", "nan"),
        ("VAULTLINE_COPY_CONCURRENCY", "0"),
        ("VAULTLINE_PART_SECONDS", "0"),
        ("VAULTLINE_STALL_SECONDS", "-5"),
    ],
)
def test_a_pace_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    """Not found out as a division by zero, in the middle of a plan."""
    with pytest.raises(Invalid, match=f"{name} must be") as refusal:
        read_settings({**ENVIRONMENT, name: value})
    assert "Value error" not in str(refusal.value)


def test_subscriptions_are_a_list_and_none_by_default() -> None:
    assert settings().cloud.subscriptions == frozenset()
    one, other = "0f0f0f0f-1111-2222-3333-444444444444", "1F0F0F0F-1111-2222-3333-444444444444"
    listed = {**ENVIRONMENT, "VAULTLINE_SUBSCRIPTIONS": f"{one}, {other}"}
    assert read_settings(listed).cloud.subscriptions == {one, other.lower()}
    groups = {**listed, "VAULTLINE_RESTORE_GROUPS": "Restored,other"}
    assert read_settings(groups).cloud.restore_groups == {"restored", "other"}


@pytest.mark.parametrize(
    ("name", "value"),
    [("VAULTLINE_SUBSCRIPTIONS", "production"), ("VAULTLINE_GRANT_LINGER_SECONDS", "soon")],
)
def test_a_cloud_that_makes_no_sense_is_refused_by_name(name: str, value: str) -> None:
    with pytest.raises(Invalid, match=name):
        read_settings({**ENVIRONMENT, name: value})


async def test_a_token_never_goes_over_plain_http() -> None:
    """Only to the laptop's Resource Manager, whose token opens nothing."""
    wiring = Wiring(read_settings({**ENVIRONMENT, "VAULTLINE_ARM": "http://arm.example"}))
    with pytest.raises(Invalid, match="VAULTLINE_ARM"):
        wiring.ports()


async def test_ports_are_made_once_and_again_after_closing() -> None:
    wiring = Wiring(settings())
    ports = wiring.ports()
    assert wiring.ports() is ports
    assert ports.pace == Pace(copy_concurrency=5)
    assert ports.guard == Guard(least_points=4)
    await wiring.aclose()
    await wiring.aclose()
    async with wiring:
        assert wiring.ports() is not ports


def test_each_event_loop_has_ports_of_its_own() -> None:
    wiring = Wiring(settings())

    async def once() -> object:
        ports = wiring.ports()
        await wiring.aclose()
        return ports

    assert asyncio.run(once()) is not asyncio.run(once())


def test_importing_asks_for_nothing() -> None:
    """No settings, no event loop, no connection, no thread."""
    script = (
        "import threading, shared.wiring; assert threading.active_count() == 1; "
        "import asyncio; assert asyncio.events._get_running_loop() is None"
    )
    done = subprocess.run(
        [sys.executable, "-c", script], env={}, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("broken", "name"),
    [
        (replace(settings(), state=f"AccountKey={KEY}"), "VAULTLINE_STATE"),
        (replace(settings(), accounts={"acct": f"AccountKey={KEY};x"}), "VAULTLINE_ACCOUNTS"),
        (replace(settings(), accounts={"acct": f"nonsense {KEY}"}), "VAULTLINE_ACCOUNTS"),
    ],
)
async def test_a_setting_that_makes_no_sense_is_named_and_not_shown(
    broken: Settings, name: str
) -> None:
    with pytest.raises(Invalid, match=name) as refusal:
        Wiring(broken).ports()
    assert KEY not in _everything(refusal.value)


async def test_a_bus_setting_that_makes_no_sense_is_named_and_not_shown() -> None:
    from shared.model.messages import Outgoing

    async with Wiring(replace(settings(), service_bus=f"SharedAccessKey={KEY}")) as wiring:
        with pytest.raises(Invalid, match="ServiceBusConnection") as refusal:
            await wiring.ports().bus.send([Outgoing(queue="snapshot", message_id="a", body="{}")])
    assert KEY not in _everything(refusal.value)


def test_neither_settings_nor_wiring_show_a_secret() -> None:
    """Invariant 10."""
    wiring = Wiring(settings())
    assert KEY not in f"{settings()!r} {wiring!r} {vars(wiring)!r}"


async def test_a_url_with_a_signature_is_refused_without_repeating_it() -> None:
    url = f"http://127.0.0.1:1/acct/disks/disk.vhd?sv=2024-01-01&sig={KEY}"
    async with Wiring(settings()) as wiring:
        with pytest.raises(Invalid) as refusal:
            await wiring.ports().disks.state(DiskUrl(url))
    assert KEY not in _everything(refusal.value)


@pytest.mark.parametrize(
    "text",
    [
        f"cannot read https://acct.blob.core.windows.net/c/b?sv=1&sig={KEY}",
        f"cannot read 'https://acct.blob.core.windows.net/c/b?sig={KEY}&sp=r' now",
        f"AccountName=acct;AccountKey={KEY};EndpointSuffix=core.windows.net",
        f"Endpoint=sb://x;SharedAccessKey={KEY};EntityPath=q",
        f"/c/b?sv=1&sig={KEY}",
    ],
)
def test_secrets_are_scrubbed(text: str) -> None:
    assert KEY not in scrub(text)


def test_an_error_s_text_is_scrubbed_when_it_is_translated() -> None:
    error = OSError(f"cannot connect to https://acct.blob.core.windows.net/c/b?sig={KEY}")
    ours = translate(error, "the disk")
    assert KEY not in _everything(ours)
    assert "https://acct.blob.core.windows.net/c/b" in str(ours)


def _everything(error: VaultlineError) -> str:
    """Whatever of an error may end up in a log, its causes included."""
    import traceback

    return "".join(traceback.format_exception(error)) + f"{error!r} {error.detail()!r}"
