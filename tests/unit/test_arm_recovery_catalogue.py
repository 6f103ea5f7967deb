"""The fake's errors and policies against those that were recorded, or published as examples."""

import json
from pathlib import Path
from typing import Any

import pytest

from local.arm.answers import ArmError
from local.arm.recovery import refusals
from local.arm.recovery.failures import BY_TITLE, CANCELLED, Failure
from local.arm.recovery.policies import Policy, read_policy

RECORDINGS = Path(__file__).parents[3] / "shared" / "recordings"
EXAMPLES = RECORDINGS / "spec" / "recoveryservicesbackup"
pytestmark = pytest.mark.skipif(
    not RECORDINGS.is_dir(), reason="the recordings are not here (../shared/recordings)"
)


def recorded() -> list[Any]:
    if not RECORDINGS.is_dir():
        return []
    lines = (RECORDINGS / "errors_backup_catalogue.jsonl").read_text().splitlines()
    return [json.loads(line)["response_body"] or {} for line in lines]


def job_errors() -> dict[str, Any]:
    """The recorded entries of `errorDetails`, by title."""
    jobs = [body.get("properties") or {} for body in recorded() if "jobType" in str(body)]
    details = [each for job in jobs for each in job.get("errorDetails") or []]
    return {each["errorTitle"]: each for each in details}


def messages(code: str) -> set[str]:
    errors = [body["error"] for body in recorded() if "error" in body]
    return {error["message"] for error in errors if error["code"] == code}


@pytest.mark.parametrize("title", sorted(job_errors()))
def test_a_jobs_failure_is_told_in_the_recorded_words(title: str) -> None:
    known: dict[str, Failure] = {**BY_TITLE, CANCELLED.title: CANCELLED}
    failure, wanted = known[title], job_errors()[title]
    assert failure.recorded
    assert failure.code == wanted["errorCode"]
    assert failure.text == wanted["errorString"]
    assert failure.recommendations == wanted["recommendations"]


def test_what_says_it_was_recorded_was() -> None:
    claimed = {failure.title for failure in (*BY_TITLE.values(), CANCELLED) if failure.recorded}
    assert claimed == set(job_errors())


@pytest.mark.parametrize(
    "error",
    [
        refusals.vault_not_found("clitest-vault000002", "clitest.rg000001"),
        refusals.vault_has_soft_deleted(["clitest-vm000003"]),
        refusals.throttled_by_hour("backupJobs/read", 150, 324),
        refusals.throttled_by_hour("backupOperations/read", 150, 324),
    ],
    ids=lambda error: error.code,
)
def test_a_refusal_is_told_in_the_recorded_words(error: ArmError) -> None:
    names = {"clitest-vm000004", "clitest-vm000005", "clitest-vm000006"}
    spellings = {error.message.replace("clitest-vm000003", name) for name in names}
    assert {error.message, *spellings} & messages(error.code)


def published(example: str) -> Policy:
    parameters = json.loads((EXAMPLES / f"AzureIaasVm__{example}.json").read_text())["parameters"]
    return read_policy(parameters["policyName"], parameters["parameters"], None)


@pytest.mark.parametrize(
    "example", ["ProtectionPolicies_CreateOrUpdate_Complex", "V2Policy__IaaS_v2_daily"]
)
def test_published_policies_are_accepted(example: str) -> None:
    assert published(example).is_for_machines


@pytest.mark.parametrize(
    ("example", "broken"),
    [
        ("ProtectionPolicies_CreateOrUpdate_Simple", "at least 7 days"),
        ("V2Policy__IaaS_v2_hourly", "17 instant days at 4 hours"),
    ],
)
def test_published_policies_that_break_azures_own_limits_are_refused(
    example: str, broken: str
) -> None:
    with pytest.raises(ArmError):
        published(example)
