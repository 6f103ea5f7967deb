"""Invariant 10: no SAS, key or token in a message, row, log, trace or activity result."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest

from local.components import Component
from local.storage.azurite import ACCOUNTS
from local.storage.controls import Fault
from tests.e2e.disk import MIB
from tests.e2e.managed import BLOCK, Cloud
from tests.e2e.rig import POLICY, Rig

pytestmark = [pytest.mark.stack, pytest.mark.e2e]

BUS_KEY = "4nybodyM4yKnowTheLocalKeyButNotThisOne"
FORBIDDEN = (b"sig=", b"sig%3d", BUS_KEY.encode(), *(each.key.encode() for each in ACCOUNTS))
KINDS_OF_EVIDENCE = (
    "logs/host.log",
    "logs/service-bus.log",
    "logs/storage.log",
    "telemetry/spans",
    "telemetry/metrics",
    "host/",
    "servicebus/",
    "storage/",
    "a row of",
    "a dead letter of incremental-copy",
)
DENIED = Fault(
    operation="^PageBlob_UploadPagesFromURL$",
    times=2,
    status=403,
    error_code="AuthorizationFailure",
)
BROKEN = Fault(
    operation="^PageBlob_UploadPagesFromURL$", times=6, status=500, error_code="InternalError"
)


def _secrets_in(content: bytes) -> list[bytes]:
    return [each for each in FORBIDDEN if each.lower() in content.lower()]


def _evidence(rig: Rig) -> Iterator[tuple[str, bytes]]:
    """Everything that the stack has put down: logs, telemetry, hub, queues and dead letters, table
    rows. Page data is left out: random bytes may say anything; and the state of Resource Manager,
    which makes signatures and has to know them."""
    folder = rig.config.data_dir
    for path in folder.rglob("*"):
        if path.is_file() and not {"__blobstorage__", "arm"} & set(path.parts):
            yield str(path.relative_to(folder)), path.read_bytes()
    for row in rig.rows():
        yield (
            f"a row of {row['PartitionKey']} {row['RowKey']}",
            json.dumps(row, default=str).encode(),
        )
    for queue, counts in rig.bus.counts().items():
        for body in rig.peeked(queue) if counts["active"] else []:
            yield f"a message in {queue}", body
        for body in rig.peeked(queue, dead=True) if counts["dead_letter"] else []:
            yield f"a dead letter of {queue}", body


def test_no_secret_is_put_down_anywhere(rig: Rig) -> None:
    """A run with backups, streams, failures, dead letters and a restore; signatures were in use."""
    connection = rig.environment.service_bus.replace("Key=local", f"Key={BUS_KEY}")
    rig.refresh_host(ServiceBusConnection=connection)
    disk = rig.disk()
    disk.write(0, 2 * MIB)
    item = rig.protect(disk)
    rig.backup(item)
    disk.scribble()
    with rig.storage_faults(DENIED, BROKEN):
        rig.backup(item)
    assert rig.restored(item) == disk.content
    _back_up_managed_disk(rig)
    rig.stop(Component.HOST)  # which writes its last spans
    evidence = dict(_evidence(rig))
    found = {name: secrets for name, body in evidence.items() if (secrets := _secrets_in(body))}
    assert not found
    for kind in KINDS_OF_EVIDENCE:
        assert any(name.startswith(kind) and body for name, body in evidence.items()), kind


def _back_up_managed_disk(rig: Rig) -> None:
    """Its snapshots are read through signatures that Resource Manager gives."""
    cloud = Cloud(rig)
    rig.vaultline("vault", "create", "machines")
    disk = cloud.disk("secretive")
    disk.write(0, 1)
    told = rig.vaultline("protect", disk.id, "--policy", POLICY, "--vault", "machines", "--wait")
    rig.backup(told["item_id"])
    disk.write(BLOCK, 2)
    with rig.storage_faults(DENIED, BROKEN):
        rig.backup(told["item_id"])
    assert cloud.calls()["Snapshots_GrantAccess"] >= 2


def test_the_search_finds_what_it_looks_for(tmp_path: Path) -> None:
    key = ACCOUNTS[0].key
    assert _secrets_in(f"http://x/y?se=1&sig=abc, AccountKey={key}".encode()) == [
        b"sig=",
        key.encode(),
    ]


def test_a_signature_that_people_post_is_not_passed_on(rig: Rig) -> None:
    """A source with a SAS is refused, in words that do not repeat it."""
    disk = rig.disk()
    canary = "c4n4ry0123456789"
    source = f"{disk.url}?sv=2024-01-01&sig={canary}"
    request = rig.post(type="protect", source=source, policy="gold", vault="e2e")
    letter = rig.dead_letters([request])[request]
    assert canary not in letter.reason + letter.description
    assert letter.description
    rig.stop(Component.HOST)
    for folder in ("logs", "telemetry"):
        for path in (rig.config.data_dir / folder).iterdir():
            assert canary.encode() not in path.read_bytes(), path
