"""What the adapters make of a service that is busy, silent, gone or wrong. Each fault is proved
to have fired."""

import logging
import time
from base64 import b64encode
from collections.abc import AsyncIterator, Iterator
from contextlib import AbstractAsyncContextManager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from hashlib import md5
from urllib.parse import parse_qs, quote, urlsplit

import pytest
from azure.core.credentials_async import AsyncTokenCredential
from azure.core.exceptions import HttpResponseError

from local.storage.controls import Fault, add_faults, clear_faults
from shared.azure import http
from shared.azure.accounts import Accounts, open_account
from shared.azure.clock import SystemClock
from shared.azure.disks import AzureDisks
from shared.azure.errors import each_page
from shared.model.disk import EpochFence, Snapshot
from shared.model.errors import Conflict, GrantOver, Invalid, StaleEpoch, Transient
from shared.model.extents import whole
from shared.model.ids import DiskUrl, Epoch
from shared.model.job import Job
from shared.model.ledger import Delete, Insert, RowChange, update
from shared.model.plan import PageOp
from shared.model.ranges import PAGE_BYTES, Change
from shared.ports import ReadGrant
from shared.steps.executor import Errand, Stretch, carry_out
from shared.wiring import Wiring
from tests.contract.pages import body, flat, letters_of, put, span
from tests.contract.test_images import do
from tests.contract.test_ledger import job, outbox, read
from tests.contract.worlds import World, azure_world, settings_for
from tests.stack.azurite_fixtures import SOURCE, VAULT, RunningStorage, start_storage

pytestmark = pytest.mark.stack
EPOCH = EpochFence(epoch=Epoch(1))
TRANSACTION = "Batch"


@pytest.fixture
async def world(storage: RunningStorage, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[World]:
    """The Azure world, with less patience."""
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(http, "LONGEST_WAIT_SECONDS", 0.05)
    async with azure_world(storage) as real:
        yield real


@contextmanager
def faults(storage: RunningStorage, *planned: Fault) -> Iterator[None]:
    """Scripts the faults, and proves that each fired as often as planned."""
    add_faults(storage.endpoint, planned)
    yield
    fired = [count.fired for count in clear_faults(storage.endpoint)]
    assert all(
        count == fault.times if fault.times is not None else count
        for count, fault in zip(fired, planned, strict=True)
    )


@pytest.mark.fault(53)
async def test_a_commit_whose_answer_is_lost_has_succeeded(
    world: World, storage: RunningStorage
) -> None:
    """Fault 53: insert, replace and delete alike."""
    record = job(world.item())
    await world.ports.ledger.commit(record.item_id, [Insert(record), Insert(outbox("old"))])
    changed = replace(record, attempts=1)
    row = await read(world, record)
    changes: list[RowChange] = [update(row, changed), Insert(outbox("new")), Delete(outbox("old"))]
    with faults(storage, Fault(operation=TRANSACTION, drop="after", times=1)):
        await world.ports.ledger.commit(record.item_id, changes)
    assert (await read(world, record)).record == changed


@pytest.mark.fault(52)
async def test_a_lost_answer_does_not_hide_a_lost_race(
    world: World, storage: RunningStorage
) -> None:
    record = job(world.item())
    await world.ports.ledger.commit(record.item_id, [Insert(record)])
    row = await read(world, record)
    await world.ports.ledger.commit(record.item_id, [update(row, replace(record, attempts=1))])
    with (
        faults(storage, Fault(operation=TRANSACTION, drop="before", times=1)),
        pytest.raises(Conflict),
    ):
        await world.ports.ledger.commit(record.item_id, [update(row, replace(record, attempts=2))])
    assert (await read(world, record)).record.attempts == 1


@pytest.mark.fault(40)
async def test_a_busy_table_is_tried_again(world: World, storage: RunningStorage) -> None:
    record = job(world.item())
    busy = Fault(service="table", status=503, error_code="ServerBusy", times=2, retry_after=600)
    began = time.monotonic()
    with faults(storage, busy):
        await world.ports.ledger.commit(record.item_id, [Insert(record)])
    with faults(storage, busy):
        assert (await read(world, record)).record == record
    assert time.monotonic() - began < 5, "Retry-After was obeyed without a bound"


async def test_a_table_that_stays_busy_is_given_up(world: World, storage: RunningStorage) -> None:
    record = job(world.item())
    assert await world.ports.ledger.get(record.item_id, Job, record.id) is None
    busy = Fault(service="table", status=503, error_code="ServerBusy")
    with faults(storage, busy), pytest.raises(Transient) as refusal:
        await world.ports.ledger.commit(record.item_id, [Insert(record)])
    assert refusal.value.code == "ServerBusy"
    with faults(storage, busy), pytest.raises(Transient):
        await world.ports.ledger.get(record.item_id, Job, record.id)


async def image(world: World) -> DiskUrl:
    disk = world.replica()
    await world.ports.images.create(disk, 16 * PAGE_BYTES, "item")
    await world.ports.images.raise_epoch(disk, Epoch(1))
    return disk


async def source(world: World) -> Snapshot:
    disk = world.disk()
    put(world, disk, 0, "abcd")
    return await world.ports.disks.take_snapshot(disk, "job")


def errand(disk: DiskUrl, source: Snapshot, *, stream: bool = False) -> Errand:
    return Errand(
        target=whole(disk, 16 * PAGE_BYTES),
        source=source,
        fence=EPOCH,
        ops=[PageOp(span(n, n + 1), Change.WRITTEN) for n in range(4)],
        stream=stream,
    )


async def unheard(_: Stretch) -> bool:
    return True


@pytest.mark.fault(16, 40)
@pytest.mark.parametrize("stream", [False, True], ids=["by the service", "through the worker"])
@pytest.mark.parametrize(
    "fault",
    [
        Fault(status=503, error_code="ServerBusy", times=2),
        Fault(status=503, error_code="ServerBusy", times=2, retry_after=1),
        Fault(status=500, error_code="OperationTimedOut", times=1),
        Fault(drop="before", times=1),
        Fault(drop="after", times=3),
    ],
    ids=["busy", "busy for a second", "timed out", "cut before", "cut after"],
)
async def test_a_page_operation_is_tried_again(
    world: World, storage: RunningStorage, fault: Fault, stream: bool
) -> None:
    """Faults 16, 40."""
    disk, snapshot = await image(world), await source(world)
    operation = "UploadPages$" if stream else "UploadPagesFromURL"
    began = time.monotonic()
    with faults(storage, replace(fault, operation=operation)):
        carried = await carry_out(world.ports, errand(disk, snapshot, stream=stream), unheard)
    assert carried.complete
    assert letters_of(world, disk, 4) == "abcd"
    assert (time.monotonic() - began >= 1) is bool(fault.retry_after)
    assert len(carried.unreported.records) == 4
    assert carried.unreported.requests >= 4 * (1 + stream) + (fault.times or 0)


@pytest.mark.fault(40)
@pytest.mark.parametrize("write", ["copy", "write", "clear"])
async def test_a_page_operation_is_sent_once_and_says_how_long_to_wait(
    world: World, storage: RunningStorage, write: str
) -> None:
    """Fault 40: when to repeat it is for who sends many of them; no wait is without bounds."""
    disk, snapshot = await image(world), await source(world)
    operation = "UploadPages|ClearPages"
    for asked, told in ((7, 7.0), (86400, 120.0), (None, None)):
        fault = Fault(operation=operation, status=503, error_code="ServerBusy", retry_after=asked)
        with faults(storage, fault), pytest.raises(Transient) as refusal:
            await do(world, write, disk, span(0, 1), EPOCH, snapshot)
        assert (refusal.value.retry_after, refusal.value.busy) == (told, True)
    with (
        faults(storage, Fault(operation=operation, drop="before", times=1)),
        pytest.raises(Transient) as cut,
    ):
        await do(world, write, disk, span(0, 1), EPOCH, snapshot)
    assert (cut.value.retry_after, cut.value.busy) == (None, False)


@pytest.mark.fault(41, 42, 45)
@pytest.mark.parametrize("times", [1, 3])
async def test_a_grant_that_ends_in_mid_part_is_asked_for_again(
    world: World, storage: RunningStorage, times: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Faults 41, 42, 45: whoever else took it back, and however often."""
    disk, snapshot = await image(world), await source(world)
    given, ask = [], world.ports.disks.grant

    def grant(of: Snapshot) -> AbstractAsyncContextManager[ReadGrant]:
        given.append(of)
        return ask(of)

    monkeypatch.setattr(world.ports.disks, "grant", grant)
    over = Fault(
        operation="UploadPagesFromURL",
        status=403,
        error_code="CannotVerifyCopySource",
        skip=1,
        times=times,
    )
    with faults(storage, over):
        carried = await carry_out(world.ports, errand(disk, snapshot), unheard)
    assert carried.complete
    assert 2 <= len(given) <= 1 + times
    assert letters_of(world, disk, 4) == "abcd"


async def test_bytes_that_were_damaged_on_their_way_are_not_written(
    world: World, storage: RunningStorage
) -> None:
    """The service compares what it got with the MD5 that was sent; the stand-in does, too."""
    disk = await image(world)
    _, container, name = disk.removeprefix(f"{storage.endpoint}/").split("/", 2)
    blob = storage.blobs(VAULT).get_blob_client(container, name)
    wrong = b64encode(md5(b"other bytes").digest()).decode()
    with pytest.raises(HttpResponseError) as refusal:
        blob.upload_page(body("a"), 0, PAGE_BYTES, headers={"Content-MD5": wrong})
    assert refusal.value.error_code == "Md5Mismatch"
    assert letters_of(world, disk, 1) == "."


@pytest.mark.fault(40, 41)
async def test_a_busy_source_slows_the_copy_down(world: World, storage: RunningStorage) -> None:
    """Fault 41: `CannotVerifyCopySource` is what its inner status is."""
    disk, snapshot = await image(world), await source(world)
    busy = Fault(
        operation="UploadPagesFromURL", status=503, error_code="CannotVerifyCopySource", times=1
    )
    with faults(storage, busy), pytest.raises(Transient) as refusal:
        await do(world, "copy", disk, span(0, 1), EPOCH, snapshot)
    assert refusal.value.busy
    with faults(storage, busy):
        assert (await carry_out(world.ports, errand(disk, snapshot), unheard)).complete


@pytest.mark.fault(50)
async def test_a_snapshot_whose_answer_is_lost_is_not_taken_twice(
    world: World, storage: RunningStorage
) -> None:
    disk = world.disk()
    lost = Fault(operation="CreateSnapshot", drop="after", times=1)
    with faults(storage, lost), pytest.raises(Transient):
        await world.ports.disks.take_snapshot(disk, "job")
    assert [each.tag for each in await world.ports.disks.snapshots(disk)] == ["job"]


@pytest.mark.fault(16)
async def test_a_resize_whose_answer_is_lost_is_no_stale_writer(
    world: World, storage: RunningStorage
) -> None:
    state = await world.ports.disks.state(await image(world))
    lost = Fault(operation="Resize", drop="after", times=1)
    with faults(storage, lost), pytest.raises(Transient):
        await world.ports.images.resize(state, 8 * PAGE_BYTES, EPOCH)
    assert (await world.ports.disks.state(state.url)).size_bytes == 8 * PAGE_BYTES


@pytest.mark.fault(50)
async def test_an_image_whose_answer_is_lost_is_there_for_the_repeat(
    world: World, storage: RunningStorage
) -> None:
    await image(world)
    lost = Fault(operation="PageBlob_Create", drop="after", times=1)
    with faults(storage, lost), pytest.raises(Transient):
        await world.ports.images.create(world.replica("second"), PAGE_BYTES, "item")
    assert (await world.ports.disks.state(world.replica("second"))).tag == "item"


@pytest.mark.fault(46)
async def test_the_rate_of_snapshots_is_a_matter_of_time(
    world: World, storage: RunningStorage
) -> None:
    """Fault 46."""
    disk = world.disk()
    fault = Fault(
        operation="CreateSnapshot", status=409, error_code="SnapshotOperationRateExceeded", times=1
    )
    with faults(storage, fault), pytest.raises(Transient) as refusal:
        await world.ports.disks.take_snapshot(disk, "job")
    assert refusal.value.code == "SnapshotOperationRateExceeded"


async def test_no_log_shows_a_signature_or_a_key(
    world: World, storage: RunningStorage, caplog: pytest.LogCaptureFixture
) -> None:
    """Invariant 10, with every logger at its most talkative."""
    caplog.set_level(logging.DEBUG)
    disk, snapshot = await image(world), await source(world)
    async with world.ports.disks.grant(snapshot) as grant:
        await world.ports.images.copy(disk, span(0, 4), grant, EPOCH)
    (signature,) = parse_qs(urlsplit(grant.url).query)["sig"]
    assert "Request URL" in caplog.text
    for secret in (signature, quote(signature, safe=""), SOURCE.key):
        assert secret not in caplog.text


class Yesterday(SystemClock):
    def now(self) -> datetime:
        return datetime.now(UTC) - timedelta(days=1)


@pytest.mark.fault(41, 42, 45)
async def test_a_grant_that_is_over_asks_for_another(world: World, storage: RunningStorage) -> None:
    """Faults 41, 42, 45."""
    disk, snapshot = await image(world), await source(world)
    pool = http.Pool(1)
    setting = storage.connection_string(SOURCE)
    account = open_account(SOURCE.name, setting, pool, _no_identity, Yesterday())
    async with AzureDisks(Accounts([account])).grant(snapshot) as over:
        with pytest.raises(GrantOver, match="grant again") as refusal:
            await world.ports.images.copy(disk, span(0, 4), over, EPOCH)
    await pool.close()
    assert refusal.value.code == "GrantOver"
    assert "sig=" not in f"{refusal.value!r} {refusal.value.detail()} {refusal.value.__notes__}"


def _no_identity() -> AsyncTokenCredential:
    raise AssertionError("no setting asks for an identity")


async def test_storage_that_is_gone_is_transient_and_keeps_its_secrets(
    storage: RunningStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.02)
    settings = settings_for(replace(storage, ports=replace(storage.ports, blob=1, table=1)))
    disk = DiskUrl("http://127.0.0.1:1/vlsource/disks/disk.vhd")
    async with Wiring(settings) as wiring:
        ports = wiring.ports()
        for call in (ports.disks.state(disk), ports.catalog.policies()):
            with pytest.raises(Transient) as refusal:
                await call
            text = f"{refusal.value!r} {refusal.value.detail()}"
            assert all(word not in text for word in ("sig=", "AccountKey", SOURCE.key))


async def test_a_service_that_is_silent_is_given_up(
    storage: RunningStorage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.02)
    monkeypatch.setattr(http, "READ_SECONDS", 0.2)
    async with azure_world(storage) as world:
        disk, item = world.disk(), world.item()
        await world.ports.ledger.get(item, Job, "none")
        with faults(storage, Fault(delay_ms=1000, times=4)):
            with pytest.raises(Transient):
                await world.ports.disks.state(disk)
            with pytest.raises(Transient):
                await world.ports.ledger.get(item, Job, "none")


@pytest.mark.fault(58)
async def test_work_goes_on_when_storage_is_back(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Fault 58."""
    monkeypatch.setattr(http, "FIRST_WAIT_SECONDS", 0.02)
    storage = start_storage(tmp_path_factory.mktemp("storage"))
    try:
        async with azure_world(storage) as world:
            record, snapshot = job(world.item()), await source(world)
            storage.stop()
            with pytest.raises(Transient):
                await world.ports.ledger.commit(record.item_id, [Insert(record)])
            with pytest.raises(Transient):
                await world.ports.disks.read(snapshot, span(0, 4))
            storage.start()
            await world.ports.ledger.commit(record.item_id, [Insert(record)])
            assert await world.ports.disks.read(snapshot, span(0, 4)) == body("abcd")
    finally:
        storage.stop()


@pytest.mark.parametrize(
    "url",
    [
        "https://elsewhere.blob.core.windows.net/disks/disk.vhd",
        "http://169.254.169.254/vlsource/disks/disk.vhd",
        "{root}.evil.example/vlsource/disks/disk.vhd",
        "{root}@evil.example/vlsource/disks/disk.vhd",
        "{root}/unknown/disks/disk.vhd",
        "{root}/vlsource/disks",
        "{root}/vlsource/disks/",
        "{root}/vlsource/disks/../../vlstate/x/y",
        "{root}/vlsource/disks/%2e%2e/other/y",
        "{root}/vlsource/DISKS/disk.vhd",
        "file:///etc/passwd",
        "",
    ],
)
async def test_a_url_outside_our_accounts_is_refused_unseen(
    world: World, storage: RunningStorage, url: str
) -> None:
    """Copy sources and targets are allow-listed."""
    with pytest.raises(Invalid):
        await world.ports.disks.state(DiskUrl(url.format(root=storage.endpoint)))


async def test_a_blob_without_pages_is_no_disk(world: World, storage: RunningStorage) -> None:
    disk = world.disk()
    container = disk.split("/")[-2]
    storage.blobs(SOURCE).get_blob_client(container, "notes.txt").upload_blob(b"text")
    with pytest.raises(Invalid, match="not a page blob"):
        await world.ports.disks.state(DiskUrl(disk.replace("disk.vhd", "notes.txt")))


async def test_a_name_that_needs_quoting_is_found(world: World) -> None:
    disk = world.disk(name="folder/my%20disk%20%C3%BC.vhd")
    put(world, disk, 0, "q")
    target = await image(world)
    snapshot = await world.ports.disks.take_snapshot(disk, "job")
    assert await world.ports.disks.snapshots(disk) == [snapshot]
    async with world.ports.disks.grant(snapshot) as grant:
        await world.ports.images.copy(target, span(0, 1), grant, EPOCH)
    assert letters_of(world, target, 1) == "q"


async def test_the_blob_s_own_metadata_stays_on_its_snapshots(
    world: World, storage: RunningStorage
) -> None:
    disk = world.disk()
    _, container, name = disk.removeprefix(f"{storage.endpoint}/").split("/", 2)
    blob = storage.blobs(SOURCE).get_blob_client(container, name)
    blob.set_blob_metadata({"owner": "finance"})
    foreign = blob.create_snapshot()["snapshot"]
    snapshot = await world.ports.disks.take_snapshot(disk, "job")
    assert [each.id for each in await world.ports.disks.snapshots(disk)] == [snapshot.id]
    assert snapshot.id != foreign
    ours = storage.blobs(SOURCE).get_blob_client(container, name, snapshot=snapshot.id)
    assert (ours.get_blob_properties().metadata or {})["owner"] == "finance"
    assert blob.get_blob_properties().metadata == {"owner": "finance"}


class Circle:
    """A listing that never moves on."""

    continuation_token = "here"

    def __aiter__(self) -> AsyncIterator[AsyncIterator[int]]:
        return self

    async def __anext__(self) -> AsyncIterator[int]:
        return _one()


async def _one() -> AsyncIterator[int]:
    yield 1


@pytest.mark.fault(17)
async def test_a_listing_that_goes_in_circles_is_left() -> None:
    """Fault 17."""
    with pytest.raises(Transient, match="circles"):
        await flat(each_page(Circle(), "list"))


async def test_a_stale_epoch_is_not_repeated(world: World, storage: RunningStorage) -> None:
    disk = await image(world)
    fault = Fault(
        operation="ClearPages", status=412, error_code="SequenceNumberConditionNotMet", times=1
    )
    with faults(storage, fault), pytest.raises(StaleEpoch):
        await world.ports.images.clear(disk, span(0, 1), EPOCH)
