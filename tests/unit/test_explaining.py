"""Errors explained: every code once, in words, with something to do."""

import pytest

from shared.decide.explaining import UNKNOWN_ACTION, explain, explained, explanations, known
from shared.decide.known_errors import KNOWN_ERRORS
from shared.model.errors import NotFound

SEEN_IN_JOBS = {
    320001: "ResourceNotFound",
    380016: "UserErrorGuestAgentVersionUnsupported",
    400002: "BackUpOperationFailed",
    400003: "RestoreOperationFailed",
    400039: "GuestAgentSnapshotTaskStatusError",
    400048: "UserErrorBCMRestoreStorageAccountNotFound",
    400052: "DiffCopyFailedToTransferData",
    400136: "UserErrorVmNotFoundV2",
    400141: "UserErrorResourceGroupNotFound",
    400158: "UserErrorJobSuccessfullyCancelled",
    400196: "UserErrorGuestAgentStatusUnavailable",
    400206: "ExtensionSnapshotFailedNoNetwork",
    400239: "IaasVmHealthGreenDefault",
    400288: "UserErrorRpCollectionDeleted",
    400309: "UserErrorGenericResourceNotFound",
    400349: "UserErrorCrpReportedUserError",
    400380: "DiskAPIRevokeSASFailed",
}


@pytest.mark.parametrize(("number", "code"), SEEN_IN_JOBS.items())
def test_every_code_seen_in_jobs_is_known_by_number_and_name(number: int, code: str) -> None:
    assert explain(str(number)) is explain(code)
    assert explain(code).number == number


def test_no_code_is_explained_twice() -> None:
    names = [each.code for each in KNOWN_ERRORS]
    assert len(set(names)) == len(names)


def test_every_explanation_is_a_sentence_with_an_action() -> None:
    for each in explanations():
        assert each.meaning.endswith((".", "`")), each
        assert each.action, each


def test_azures_message_stays_and_the_action_is_ours() -> None:
    told = explained("400196", "VM agent is unable to communicate.", "Reboot.")
    assert told.code == "UserErrorGuestAgentStatusUnavailable"
    assert told.message == "VM agent is unable to communicate."
    assert "walinuxagent" in told.recommended_action


def test_without_a_message_the_meaning_is_one() -> None:
    assert explained("VMAgentStatusCommunicationError", "").message.startswith("The machine")


def test_an_unknown_code_keeps_what_azure_recommends() -> None:
    assert explained("NewError", "text", "Do this.").recommended_action == "Do this."
    assert explained("NewError", "").message == "NewError"
    assert explained("NewError", "text").recommended_action == UNKNOWN_ACTION


def test_our_own_codes_are_known_too() -> None:
    assert "source disk" in explain("sourcenotfound").meaning
    assert known("GuestFailed") is not None


def test_a_code_that_is_nearly_one_is_suggested() -> None:
    with pytest.raises(NotFound) as refused:
        explain("ExtensionSnapshotFailedNoNetwrk")
    assert "ExtensionSnapshotFailedNoNetwork" in refused.value.action
    with pytest.raises(NotFound) as refused:
        explain("zzz")
    assert "lists" in refused.value.action
