"""Every recorded exchange with Recovery Services of a kind that our adapter makes: through the real
SDK and our client, with the outcome recorded. docs/fidelity.md has the table."""

from dataclasses import replace

import pytest

from shared.azure import arm
from shared.azure.recovery.vaults import AzureRecoveryVaults
from shared.model.errors import VaultlineError
from tests.contract.recordings.calls import calls_in
from tests.contract.recordings.case import Case, needs_recordings
from tests.contract.recordings.playing import client_of
from tests.contract.recordings.recovery_calls import KINDS, meaning
from tests.contract.recovery.world import VAULT
from tests.stack.recovery_recording import load

pytestmark = needs_recordings

CASES = (
    Case("backup2024_scenario", 226, 14),
    Case("backup2024_restore", 300, 30),
    Case("backup2024_job", 149, 12),
    Case("backup2024_policy", 86, 19),
    Case("backup2024_protection", 55, 8),
    Case("backup2024_rp", 131, 7),
    Case("backup2024_vault", 37, 38),
    Case("hist_504_gateway_timeouts", 144, 8),
    Case("hist_backup_CWW_400052_diffcopy_failed", 489, 3),
    Case("hist_backup_FAILED_400136_vm_not_found", 171, 3),
    Case("hist_restore_FAILED_400048_storage_account_gone", 440, 8),
    Case("ps2018_job_cancel", 266, 9),
    Case("net2016_cancel_job", 6, 8),
    Case("net2016_enable_protection", 3, 3),
    Case("net2016_refresh_containers", 6, 0),
    Case("net2016_remove_protection", 15, 3),
    Case("net2016_restore_disk", 1, 0),
    Case("transcribed_ps_2020_2025", 5, 0),
    Case("errors_backup_catalogue", 57, 13),
)


@pytest.fixture(autouse=True)
def _nothing_is_repeated(monkeypatch: pytest.MonkeyPatch) -> None:
    """A recorded refusal is one answer."""
    monkeypatch.setattr(arm, "REPEATS", 0)
    monkeypatch.setattr(arm, "CALM_SECONDS", 0.0)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
async def test_our_client_reads_what_was_recorded(case: Case) -> None:
    exchanges = [each for each in load(case.name) if each.is_ours]
    calls = list(calls_in(exchanges, KINDS))
    wrong = []
    async with client_of(exchanges) as client:
        for call in calls:
            wrong += await call.play(client, meaning)
    assert wrong == []
    ours = sum(len(call.exchanges) for call in calls)
    assert (ours, len(exchanges) - ours) == (case.ours, case.never)


async def test_refusals_of_what_we_never_ask_would_be_read_all_the_same() -> None:
    """Whatever the request: an empty message, a body that is not Resource Manager's."""
    every = [each for case in CASES for each in load(case.name) if each.is_ours]
    refused = [each for each in every if each.status >= 400]
    vault = replace(
        VAULT,
        url="/subscriptions/{}/resourcegroups/g/providers/{}".format(
            "00000000-0000-0000-0000-000000000000", "microsoft.recoveryservices/vaults/v1"
        ),
    )
    other_forms = 0
    async with client_of([replace(refused[0], path=vault.url)]) as client:
        for exchange in refused:
            client.play([exchange], same_path=False)
            with pytest.raises(VaultlineError) as error:
                await AzureRecoveryVaults(client.arm).job(vault, "1")
            assert str(error.value).strip(": ")
            assert error.value.transient is (exchange.status in (429, *range(500, 600)))
            other_forms += "error" not in exchange.body
    assert other_forms == 4
