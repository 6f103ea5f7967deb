"""What the VMSnapshot extension says of its work, read into our words."""

import json
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.vm_snapshot_status import read_instance, read_status, told
from shared.model.errors import Invalid
from shared.model.machine import Consistency
from shared.model.vm_snapshot import Outcome

SECRET = "c2VjcmV0"
TASK_ID = "e07354cf-041e-4370-929f-25a319ce8933"


def report(
    code: int = 1, status: str = "success", message: str = "Enable Succeeded", **more: Any
) -> Any:
    """A status blob's content, as the extension for Linux writes it."""
    response = {
        "messageStr": message,
        "snapshotConsistency": more.pop("consistency", 1),
        "jobMessage": "",
        "isSizeComputationFailed": False,
    }
    given = {
        "name": "Microsoft.Azure.RecoveryServices.VMSnapshotLinux",
        "operation": "Enable",
        "status": status,
        "substatus": [],
        "code": code,
        "taskId": TASK_ID,
        "formattedMessage": {"lang": "en-US", "message": json.dumps(response)},
        "commandStartTimeUTCTicks": "636967192566036845",
        "telemetryData": [{"Key": "extensionVersion", "Value": "1.0.9184.0"}],
        "uniqueMachineId": "",
        "snapshotInfo": [],
        "vmHealthInfo": {"vmHealthState": 0, "vmHealthStatusCode": code},
    }
    stamp = "/Date(1560909263000)/"
    return [{"version": "1.0", "timestampUTC": stamp, "status": {**given, **more}}]


def blob(*args: Any, **more: Any) -> str:
    """As text, with .NET's escaped date."""
    return json.dumps(report(*args, **more)).replace(
        "/Date(1560909263000)/", r"\/Date(1560909263000)\/"
    )


def test_a_success_says_what_it_promises() -> None:
    found = read_status(blob())
    assert (found.outcome, found.code, found.name) == (Outcome.SUCCEEDED, 1, "success")
    assert found.consistency is Consistency.FILE_SYSTEM
    assert (found.message, found.action) == ("Enable Succeeded", "")
    assert (found.operation, found.task_id, found.version) == ("Enable", TASK_ID, "1.0")
    assert found.starts_at == datetime(2019, 6, 21, 13, 7, 36, 603684, tzinfo=UTC)
    assert found.reported_at == datetime(2019, 6, 19, 1, 54, 23, tzinfo=UTC)


@pytest.mark.parametrize(
    ("code", "said", "promised"),
    [
        (0, 2, Consistency.APPLICATION),
        (1, 1, Consistency.FILE_SYSTEM),
        (1, 3, Consistency.CRASH),
        (76, 0, None),
    ],
)
def test_consistency_is_the_extensions_own_word(
    code: int, said: int, promised: Consistency | None
) -> None:
    assert read_status(blob(code, consistency=said)).consistency is promised


def test_older_extensions_say_it_by_their_code() -> None:
    plain = report(0)
    plain[0]["status"]["formattedMessage"]["message"] = "Enable Succeeded"
    found = read_status(json.dumps(plain))
    assert (found.message, found.consistency) == ("Enable Succeeded", Consistency.APPLICATION)


@pytest.mark.parametrize(
    ("code", "status", "outcome"),
    [
        (76, "error", Outcome.FAILED),
        (76, "success", Outcome.FAILED),
        (2, "error", Outcome.FAILED),
        (1, "transitioning", Outcome.RUNNING),
        (4, "success", Outcome.RUNNING),
        (1, "Success", Outcome.SUCCEEDED),
    ],
)
def test_a_failure_that_shows_as_success_is_told_by_its_code(
    code: int, status: str, outcome: Outcome
) -> None:
    assert read_status(blob(code, status)).outcome is outcome


def test_a_failure_is_named_with_its_action() -> None:
    found = read_status(blob(76, "error", "T:S blobs are empty"))
    assert found.name == "FailedRetryableSnapshotFailedNoNetwork"
    assert "Azure Storage" in found.action
    assert read_status(blob(99999, "error")).name == "code 99999"


def test_disks_are_told_without_what_opens_them() -> None:
    disks = [
        {
            "isSuccessful": True,
            "snapshotUri": f"https://a.blob.core.windows.net/v/os.vhd?snapshot=2019-06&sig={SECRET}",
            "errorMessage": None,
        },
        {
            "isSuccessful": False,
            "snapshotUri": None,
            "blobUri": f"https://a.blob.core.windows.net/v/d.vhd?sv=1&sig={SECRET}",
            "errorMessage": f"PUT https://a.blob.core.windows.net/v/d.vhd?sig={SECRET} gave 403",
        },
    ]
    first, second = read_status(blob(2, "error", snapshotInfo=disks)).disks
    assert first.url == "https://a.blob.core.windows.net/v/os.vhd?snapshot=2019-06"
    assert second.url == "https://a.blob.core.windows.net/v/d.vhd"
    assert (first.succeeded, second.succeeded) == (True, False)
    assert second.message.endswith("gave 403")
    assert SECRET not in f"{first} {second}"


def test_messages_are_cleaned_before_they_are_cut() -> None:
    text = f"{'x' * 490} https://a.blob.core.windows.net/v?sig={SECRET}"
    message = read_status(blob(2, "error", text)).message
    assert SECRET[:3] not in message
    assert len(message) <= 500


def test_a_message_is_told_without_its_wrapping_and_signatures() -> None:
    assert told("plain  words") == "plain words"
    wrapped = json.dumps({"messageStr": f"no: https://a/b?sig={SECRET}", "snapshotConsistency": 0})
    assert told(wrapped) == "no: https://a/b?…"
    assert told("[1, 2]") == "[1, 2]"


# ---------------------------------------------------------------- as the instance view shows it


def status_file(**more: Any) -> str:
    """The file that the agent reads: the report is the text of its sub-status."""
    outer = report()
    outer[0]["status"]["substatus"] = [
        {"code": "0", "name": blob(**more), "status": "success", "formattedMessage": None}
    ]
    return json.dumps(outer)


def test_the_report_within_a_status_file_counts() -> None:
    found = read_status(status_file(code=121, status="error", message="freeze"))
    assert (found.code, found.message, found.outcome) == (121, "freeze", Outcome.FAILED)


def test_the_instance_view_shows_it_in_a_sub_status() -> None:
    shown = {
        "name": "VMSnapshotLinux",
        "statuses": [{"code": "ProvisioningState/succeeded", "message": "Enable Succeeded"}],
        "substatuses": [{"code": "ComponentStatus//succeeded", "message": blob(0, consistency=2)}],
    }
    found = read_instance(shown)
    assert found is not None
    assert (found.code, found.consistency) == (0, Consistency.APPLICATION)
    assert read_instance({"statuses": shown["statuses"]}) is None


@pytest.mark.parametrize("text", ["", "{}", "[]", "[1]", '[{"status": 1}]', f"sig={SECRET}"])
def test_what_is_no_status_is_refused_and_not_repeated(text: str) -> None:
    with pytest.raises(Invalid, match="no status of the VMSnapshot extension") as refused:
        read_status(text)
    assert SECRET not in str(refused.value)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3)
    ),
    max_leaves=8,
)
FIELDS = (
    "code",
    "status",
    "formattedMessage",
    "snapshotInfo",
    "taskId",
    "commandStartTimeUTCTicks",
    "substatus",
    "operation",
)


@given(st.dictionaries(st.sampled_from(FIELDS), JSON), JSON)
def test_whatever_a_report_holds_it_is_read(fields: dict[str, Any], stamp: Any) -> None:
    odd = report()
    odd[0]["status"].update(fields)
    odd[0]["timestampUTC"] = stamp
    assert read_status(json.dumps(odd)).outcome in Outcome
