"""Every recorded exchange with Compute of a kind that our adapters make: through the real SDK and
our client, with the outcome recorded. docs/fidelity.md has the table."""

from dataclasses import replace

import pytest

from shared.azure import arm
from shared.azure.arm_errors import arm_translated
from shared.model.arm_ids import ArmId
from shared.model.errors import SourceGone, VaultlineError
from tests.contract.recordings.calls import calls_in
from tests.contract.recordings.case import Case, needs_recordings
from tests.contract.recordings.compute_calls import KINDS, meaning
from tests.contract.recordings.playing import client_of, plain
from tests.stack.recovery_recording import Exchange, load

pytestmark = needs_recordings

CASES = (
    Case("compute2024_vm_managed_disk", 28, 19),
    Case("compute2024_snapshot_incremental_FULLURLS", 8, 4),
    Case("compute2024_vm_disk_upload", 3, 0),
    Case("compute2024_restore_point", 11, 0),
    Case("compute2024_restore_point_collection", 4, 4),
    Case("compute2024_copy_vm_restore_point", 8, 4),
    Case("compute2024_vm_disk_from_restore_point", 10, 5),
    Case("ps2018_disk", 11, 124),
    Case("ps2018_snapshot", 10, 120),
    Case("transcribed_ps_2020_2025", 1, 2),
    Case("errors_compute_catalogue", 7, 10),
    Case("backup2024_scenario", 2, 0),
    Case("backup2024_restore", 2, 0),
    Case("backup2024_job", 2, 0),
    Case("backup2024_policy", 4, 0),
    Case("backup2024_protection", 6, 0),
    Case("backup2024_rp", 2, 0),
    Case("hist_504_gateway_timeouts", 2, 0),
    Case("hist_backup_CWW_400052_diffcopy_failed", 2, 0),
    Case("hist_backup_FAILED_400136_vm_not_found", 2, 0),
    Case("hist_restore_FAILED_400048_storage_account_gone", 2, 0),
)


@pytest.fixture(autouse=True)
def _nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded refusal is one answer."""
    monkeypatch.setattr(arm, "REPEATS", 0)
    monkeypatch.setattr(arm, "CALM_SECONDS", 0.0)


def of_compute(exchange: Exchange) -> bool:
    return "/providers/microsoft.compute/" in plain(exchange.path) and not exchange.is_ours


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_our_client_reads_what_was_recorded(case: Case) -> None:
    exchanges = [each for each in load(case.name) if of_compute(each)]
    calls = list(calls_in(exchanges, KINDS))
    wrong = []
    async with client_of(exchanges) as client:
        for call in calls:
            wrong += await call.play(client, meaning)
    assert wrong == []
    ours = sum(len(call.exchanges) for call in calls)
    assert (ours, len(exchanges) - ours) == (case.ours, case.never)


async def test_refusals_of_what_we_never_ask_would_be_read_all_the_same() -> None:
    """A CopyStart that is refused, encryption sets, a 429: whatever was asked."""
    every = [each for case in CASES for each in load(case.name) if of_compute(each)]
    refused = [each for each in every if each.status >= 400]
    disk = ArmId("00000000-0000-0000-0000-000000000000", "g", "disks", "d")
    async with client_of([replace(refused[0], path=str(disk))]) as client:
        for exchange in refused:
            client.play([exchange], same_path=False)
            with pytest.raises(VaultlineError) as error, arm_translated(str(disk)):
                await client.arm.compute(disk.subscription).disks.get(*disk.names)
            passing = exchange.status in (429, 502, 503)
            assert error.value.transient is passing, exchange.body
            assert isinstance(error.value, SourceGone) is (exchange.status == 404)
    assert len(refused) == 25
