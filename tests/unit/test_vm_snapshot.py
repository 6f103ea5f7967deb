"""The VMSnapshot extension's settings: made, checked, read; secrets stay where they belong."""

import base64
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.vm_snapshot import (
    disks_in,
    extension_of,
    new_task,
    object_string,
    read_extension,
    settings_of,
    task_in,
    template,
)
from shared.model.errors import Invalid
from shared.model.machine import Os
from shared.model.vm_snapshot import LAST_TICKS, SnapshotTask, moment_of, ticks_of

ROOT = Path(__file__).parents[2]
TASK_ID = "e07354cf-041e-4370-929f-25a319ce8933"
SECRET = "c2VjcmV0LXNpZ25hdHVyZQ"
SAS = f"sv=2025-05-05&sr=b&sp=rw&sig={SECRET}%3D"
BLOB = "https://backup.blob.core.windows.net/logs"
AT = datetime(2026, 11, 21, 2, tzinfo=UTC)
EARLY = AT.replace(year=2, tzinfo=None)
DISKS = (f"https://disks.blob.core.windows.net/vhds/os.vhd?{SAS}",)


def task(**more: Any) -> SnapshotTask:
    given: dict[str, Any] = {
        "task_id": TASK_ID,
        "starts_at": AT,
        "object_string": object_string(DISKS),
        "logs_blob": f"{BLOB}/log.txt?{SAS}",
        "status_blob": f"{BLOB}/status.txt?{SAS}",
    }
    return SnapshotTask(**{**given, **more})


# ---------------------------------------------------------------- ticks


@pytest.mark.parametrize(
    ("ticks", "moment"),
    [
        (0, datetime(1, 1, 1, tzinfo=UTC)),
        (621_355_968_000_000_000, datetime(1970, 1, 1, tzinfo=UTC)),
        (636_967_192_566_036_845, datetime(2019, 6, 21, 13, 7, 36, 603684, tzinfo=UTC)),
        (LAST_TICKS, datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)),
    ],
)
def test_ticks_are_those_of_dotnet(ticks: int, moment: datetime) -> None:
    assert moment_of(ticks) == moment
    assert ticks_of(moment) == ticks // 10 * 10


@given(st.datetimes(min_value=EARLY, timezones=st.timezones()))
def test_a_moment_comes_back_from_its_ticks(at: datetime) -> None:
    assert moment_of(ticks_of(at)) == at.astimezone(UTC)


@given(st.integers(0, LAST_TICKS))
def test_ticks_come_back_from_their_moment_to_the_microsecond(ticks: int) -> None:
    assert 0 <= ticks - ticks_of(moment_of(ticks)) < 10


@pytest.mark.parametrize("ticks", [-1, LAST_TICKS + 1])
def test_ticks_beyond_the_calendar_are_refused(ticks: int) -> None:
    with pytest.raises(ValueError, match="9999"):
        moment_of(ticks)


# ---------------------------------------------------------------- building and reading


@given(
    st.uuids(),
    st.datetimes(min_value=EARLY, timezones=st.just(UTC)),
    st.sampled_from(("en-us", "de", "zh-Hans-CN")),
    st.lists(st.sampled_from(DISKS), max_size=3),
)
def test_what_is_built_is_read_as_the_same_task(
    id_: Any, at: datetime, locale: str, disks: list[str]
) -> None:
    made = task(task_id=str(id_), starts_at=at, locale=locale, object_string=object_string(disks))
    for system in Os:
        assert read_extension(extension_of(made, system)) == made
    assert disks_in(made.object_string) == tuple(disks)


def test_public_settings_hold_no_secret() -> None:
    public, protected = settings_of(task())
    assert public == {
        "locale": "en-us",
        "taskId": TASK_ID,
        "commandToExecute": "snapshot",
        "commandStartTimeUTCTicks": "639308232000000000",
        "vmType": "microsoft.compute/virtualmachines",
    }
    assert SECRET not in json.dumps(public)
    assert set(protected) == {"objectStr", "logsBlobUri", "statusBlobUri"}


def test_nothing_of_a_task_shows_its_secrets() -> None:
    shown = repr(new_task(TASK_ID, AT, DISKS, task().logs_blob, task().status_blob))
    assert SECRET not in shown
    assert object_string(DISKS) not in shown
    assert TASK_ID in shown


@pytest.mark.parametrize(
    ("public", "where"),
    [
        ({"logsBlobUri": f"{BLOB}/log.txt?{SAS}"}, "settings.logsBlobUri"),
        ({"statusBlobUri": "https://x.blob.core.windows.net/a/b"}, "settings.statusBlobUri"),
        ({"objectStr": object_string(DISKS)}, "settings.objectStr"),
        ({"locale": f"https://x/?{SAS}"}, "settings.locale"),
        ({"more": [{"deep": f"AccountKey={SECRET}"}]}, "settings.more.0.deep"),
        ({"custom": object_string(DISKS)}, "settings.custom"),
    ],
)
def test_a_secret_in_public_settings_is_refused_by_its_place(
    public: dict[str, Any], where: str
) -> None:
    good, protected = settings_of(task())
    with pytest.raises(Invalid) as refused:
        task_in({**good, **public}, protected)
    assert refused.value.code == "SecretInPublicSettings"
    assert where in str(refused.value)
    assert SECRET not in f"{refused.value} {refused.value.action}"


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("taskId", "1", "settings: taskId must be a GUID"),
        ("commandStartTimeUTCTicks", "now", ".NET ticks"),
        ("commandStartTimeUTCTicks", str(LAST_TICKS + 1), ".NET ticks"),
        ("locale", "English, please", "must be a language"),
        ("commandToExecute", "format", "must be 'snapshot'"),
        ("vmType", "microsoft.classiccompute/virtualmachines", "must be microsoft.compute"),
        ("extra", "x", "extra is not a field here"),
    ],
)
def test_wrong_public_settings_are_named(field: str, value: str, told: str) -> None:
    public, protected = settings_of(task())
    with pytest.raises(Invalid) as refused:
        task_in({**public, field: value}, protected)
    assert told in str(refused.value)


@pytest.mark.parametrize(
    ("field", "value", "told"),
    [
        ("logsBlobUri", "", "must be the URI of a blob"),
        ("logsBlobUri", "https://[bad", "must be the URI of a blob"),
        ("statusBlobUri", f"{BLOB}/status.txt", "must carry a SAS"),
        ("objectStr", f"sig={SECRET}", "must be a JSON object in Base64"),
        ("objectStr", base64.b64encode(b'{"blobSASUri": [1]}').decode(), "must be a list of URIs"),
    ],
)
def test_wrong_protected_settings_are_named_and_never_repeated(
    field: str, value: str, told: str
) -> None:
    public, protected = settings_of(task())
    with pytest.raises(Invalid) as refused:
        task_in(public, {**protected, field: value})
    assert told in str(refused.value)
    assert SECRET not in str(refused.value)


def test_what_azure_shows_of_an_extension_lacks_its_secrets() -> None:
    shown = extension_of(task(), Os.LINUX)
    del shown["protectedSettings"]
    with pytest.raises(Invalid, match="protectedSettings: objectStr is missing"):
        read_extension(shown)


@pytest.mark.parametrize("change", [{"type": "CustomScript"}, {"publisher": "Somebody"}])
def test_another_extension_is_refused(change: dict[str, str]) -> None:
    with pytest.raises(Invalid, match="must be"):
        read_extension({**extension_of(task(), Os.WINDOWS), **change})


def test_the_object_string_is_read_as_the_extension_reads_it() -> None:
    quoted = base64.b64encode(b"'{\"blobSASUri\": []}' ").decode()
    assert disks_in(quoted) == ()


# ---------------------------------------------------------------- the template


def test_the_published_template_is_the_builders() -> None:
    text = (ROOT / "docs/examples/vmsnapshot-extension.json").read_text(encoding="utf-8")
    assert json.loads(text) == template()


def test_deploying_the_template_gives_what_the_builder_makes() -> None:
    made = task()
    public, protected = settings_of(made)
    values = {**public, **protected, "extension": "VMSnapshotLinux"}
    [resource] = template()["resources"]
    deployed = {
        name: {key: values.get(_parameter(text), text) for key, text in value.items()}
        if isinstance(value, dict)
        else values.get(_parameter(value), value)
        for name, value in resource["properties"].items()
    }
    assert deployed == extension_of(made, Os.LINUX)


def test_every_secret_of_the_template_is_secure() -> None:
    parameters = template()["parameters"]
    _, protected = settings_of(task())
    assert {name: parameters[name] for name in protected} == {
        name: {"type": "securestring"} for name in protected
    }


def _parameter(text: Any) -> str:
    return str(text).removeprefix("[parameters('").removesuffix("')]")
