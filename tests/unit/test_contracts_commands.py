"""The `commands` contract: what a message means, and how a bad one is refused (invariant 12)."""

import json
import time
from datetime import UTC, date, datetime
from typing import Any

import jsonschema
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.contracts.commands import BODY_BYTES, parse_command
from shared.contracts.schemas import schemas
from shared.model.errors import Invalid
from shared.model.ids import ItemId, RequestId
from shared.model.inventory import Scope, Tag
from shared.model.messages import (
    BackupNow,
    Command,
    ConsistencyCheck,
    Discover,
    Protect,
    Restore,
    RestoreTarget,
    StopProtection,
    Undelete,
)

BLOB = "https://acct.blob.core.windows.net/disks/os.vhd"
PROTECT = {"type": "protect", "source": BLOB, "policy": "gold", "vault": "main"}
STOP = {"type": "stop-protection", "item_id": "disk-1", "delete_data": False}
BACKUP = {"type": "backup-now", "item_id": "disk-1"}
ORIGINAL = {"kind": "original", "confirm": True}
ALTERNATE = {"kind": "alternate", "url": BLOB}
RESTORE = {"type": "restore", "item_id": "disk-1", "point": "latest", "target": ALTERNATE}
ITEM, REQUEST = ItemId("disk-1"), RequestId("m-1")
NEW_BLOB = RestoreTarget(kind="alternate", url=BLOB)


def parse(fields: Any) -> Command:
    return parse_command(json.dumps(fields).encode(), "m-1")


def refusal(body: bytes, message_id: str = "m-1") -> Invalid:
    with pytest.raises(Invalid) as caught:
        parse_command(body, message_id)
    return caught.value


@pytest.mark.parametrize(
    ("fields", "meaning"),
    [
        (PROTECT, Protect(source=BLOB, policy="gold", vault="main", request_id=REQUEST)),
        (
            {**PROTECT, "item_id": "disk-1"},
            Protect(source=BLOB, policy="gold", vault="main", item_id=ITEM, request_id=REQUEST),
        ),
        (STOP, StopProtection(item_id=ITEM, delete_data=False, request_id=REQUEST)),
        (BACKUP, BackupNow(item_id=ITEM, request_id=REQUEST)),
        (
            {**BACKUP, "request_id": "mine"},
            BackupNow(item_id=ITEM, request_id=RequestId("mine")),
        ),
        (
            {**BACKUP, "retain_until": "2026-12-31"},
            BackupNow(item_id=ITEM, retain_until=date(2026, 12, 31), request_id=REQUEST),
        ),
        ({"type": "undelete", "item_id": "disk-1"}, Undelete(item_id=ITEM, request_id=REQUEST)),
        (
            {"type": "discover", "scope": {"url": "https://acct.blob.core.windows.net"}},
            Discover(scope=Scope(url="https://acct.blob.core.windows.net"), request_id=REQUEST),
        ),
        (
            {"type": "discover", "scope": {"url": BLOB, "tag": "backup=a=b"}},
            Discover(
                scope=Scope(url=BLOB, tag=Tag(name="backup", value="a=b")), request_id=REQUEST
            ),
        ),
        (RESTORE, Restore(item_id=ITEM, target=NEW_BLOB, request_id=REQUEST)),
        (
            {**RESTORE, "point": "disk-1.point-1", "target": ORIGINAL},
            Restore(
                item_id=ITEM,
                point="disk-1.point-1",
                target=RestoreTarget(kind="original", confirm=True),
                request_id=REQUEST,
            ),
        ),
        (
            {**RESTORE, "point": {"at": "2026-11-21T02:00:00+01:00"}},
            Restore(
                item_id=ITEM,
                at=datetime(2026, 11, 21, 1, tzinfo=UTC),
                target=NEW_BLOB,
                request_id=REQUEST,
            ),
        ),
    ],
)
def test_a_good_message_says_what_it_means(fields: dict[str, Any], meaning: Command) -> None:
    assert parse(fields) == meaning
    jsonschema.validate(fields, json.loads(schemas()["commands.json"]))


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ([], "no object"),
        ({}, "'type' is missing; the types are protect, stop-protection, backup-now, restore"),
        ({"type": 5}, "'type' must be a string"),
        ({"type": "zap"}, "'zap' is not a command"),
        ({"type": "protect"}, "source is missing; policy is missing; vault is missing"),
        ({**BACKUP, "colour": 1}, "colour is not a field here; the fields are"),
        ({**BACKUP, "item_id": 5}, "item_id must be a string"),
        ({**BACKUP, "item_id": "../x"}, "'../x' is not an item id"),
        ({**BACKUP, "retain_until": "soon"}, "retain_until must be a date such as"),
        ({**BACKUP, "retain_until": 1700000000}, "retain_until must be a date such as"),
        ({**BACKUP, "request_id": "x" * 129}, "request_id must be 1 to 128"),
        ({**BACKUP, "request_id": "a\nb"}, "request_id must be 1 to 128"),
        ({**STOP, "delete_data": "yes"}, "delete_data must be true or false"),
        ({**STOP, "delete_data": 1}, "delete_data must be true or false"),
        ({k: STOP[k] for k in ("type", "item_id")}, "delete_data is missing"),
        ({**PROTECT, "policy": "a/b"}, "policy 'a/b' is not a policy name"),
        ({**PROTECT, "vault": "v"}, "vault 'v' is not a vault name: 2 to 50 letters"),
        ({"type": "discover"}, "scope is missing"),
        ({"type": "discover", "scope": "disks"}, "scope must be an object with fields"),
        ({"type": "discover", "scope": {}}, "scope.url is missing"),
        ({"type": "discover", "scope": {"url": "disks"}}, "scope.url must be a URL"),
        ({"type": "discover", "scope": {"url": f"{BLOB}?sig=x"}}, "scope.url must be a plain URL"),
        ({"type": "discover", "scope": {"url": BLOB, "tag": "x"}}, "scope.tag must be a blob"),
        ({"type": "discover", "scope": {"url": BLOB, "deep": True}}, "scope.deep is not a field"),
        ({**PROTECT, "source": "os.vhd"}, "source must be a URL"),
        ({**PROTECT, "source": "ftp://h/c/b"}, "source must be a URL"),
        ({**PROTECT, "source": "http://h:port/c/b"}, "source must be a URL"),
        ({**PROTECT, "source": "https://[bad/c/b"}, "source must be a URL"),
        ({**PROTECT, "source": "https://h/" + "x" * 3000}, "source must be a URL"),
        ({**PROTECT, "source": "https://h/blob"}, "source must name …/CONTAINER/BLOB"),
        ({**PROTECT, "source": "https://u:p@h/c/b"}, "source must be a plain URL"),
        ({**PROTECT, "source": "https://h/c/b d"}, "source must not hold spaces"),
        ({**PROTECT, "source": "/subscriptions/1/x"}, "is not a managed disk's id"),
        ({**RESTORE, "target": {}}, "target must say its 'kind'"),
        ({**RESTORE, "target": 4}, "target must be an object"),
        ({**RESTORE, "target": {"kind": "tape"}}, "one of 'original', 'alternate'"),
        ({**RESTORE, "target": {"kind": "original"}}, "target overwrites the protected disk"),
        ({**RESTORE, "target": {"kind": "original", "confirm": "yes"}}, "target.confirm must be"),
        ({**RESTORE, "target": {**ORIGINAL, "url": BLOB}}, "target.url is not a field here"),
        ({**RESTORE, "target": {"kind": "alternate"}}, "target.url is missing"),
        ({**RESTORE, "point": 7}, "point must be a string"),
        ({**RESTORE, "point": "newest"}, 'point must be "latest", a point\'s id, or'),
        ({**RESTORE, "point": "disk-2.point-1"}, "point is one of item 'disk-2', not of 'disk-1'"),
        ({**RESTORE, "point": {}}, "point.at is missing"),
        ({**RESTORE, "point": {"at": "5"}}, "point.at must be a time such as"),
        ({**RESTORE, "point": {"at": "2026-11-21T02:00:00"}}, "point.at must say its zone"),
        ({**RESTORE, "point": {"at": "0001-01-01T00:00:00+14:00"}}, "point.at is out of range"),
    ],
)
def test_invariant_12_a_bad_message_is_refused_in_words(fields: Any, words: str) -> None:
    assert words in str(refusal(json.dumps(fields).encode()))


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"", "not JSON"),
        (b"backup please", "not JSON: Expecting value at line 1, column 1"),
        (b"\xff\xfe\x00", "byte 0 is not UTF-8"),
        (b"[" * 60_000, "nested too deeply"),
        (b'{"type":"backup-now","type":"protect"}', "a field is given twice"),
        (b'{"type":' + b"9" * 5000 + b"}", "a number has too many digits"),
        (b'{"type":"backup-now","item_id":"\\ud800"}', "Invalid JSON"),
    ],
)
def test_invariant_12_garbage_is_refused_in_words(body: bytes, words: str) -> None:
    assert words in str(refusal(body))


def test_invariant_12_a_huge_body_is_refused_at_once() -> None:
    before = time.perf_counter()
    assert str(BODY_BYTES) in str(refusal(b"[" * 200_000))
    assert time.perf_counter() - before < 0.05


def test_a_check_names_its_item_alone() -> None:
    fields = {"type": "consistency-check", "item_id": "disk-1", "request_id": "r-1"}
    command = parse_command(json.dumps(fields).encode(), "m-1")
    assert command == ConsistencyCheck(item_id=ItemId("disk-1"), request_id=RequestId("r-1"))
    assert "wait" in str(refusal(json.dumps({**fields, "wait": True}).encode()))


def test_what_is_planned_is_refused_as_not_supported_yet() -> None:
    fields = {**RESTORE, "target": {"kind": "files", "paths": ["/etc"]}}
    error = refusal(json.dumps(fields).encode())
    assert error.code == "NotSupportedYet"
    assert "not supported yet" in str(error)


def test_a_request_must_have_an_id_from_somewhere() -> None:
    assert "no MessageId" in str(refusal(json.dumps(BACKUP).encode(), ""))


def test_invariant_10_a_refusal_never_repeats_a_signature() -> None:
    signed = {**PROTECT, "source": f"{BLOB}?sv=2024&sig=c2VjcmV0"}
    assert "c2VjcmV0" not in str(refusal(json.dumps(signed).encode()))


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner),
    max_leaves=8,
)
field_names = st.sampled_from(
    ["type", "item_id", "source", "policy", "vault", "target", "point", "delete_data", "request_id"]
)


@given(
    st.dictionaries(field_names, json_values).map(
        lambda fields: json.dumps(fields).encode("utf-8", "surrogatepass")
    )
    | st.builds(
        lambda kind, fields: json.dumps({**fields, "type": kind}).encode(),
        st.sampled_from(["protect", "stop-protection", "backup-now", "restore"]),
        st.dictionaries(field_names, json_values),
    )
    | st.binary(max_size=64)
)
def test_invariant_12_any_body_is_understood_or_refused(body: bytes) -> None:
    try:
        parse_command(body, "m-1")
    except Invalid as error:
        assert str(error)  # noqa: PT017


MANAGED = (
    "/subscriptions/0F0F0F0F-1111-2222-3333-44444444AAAA/resourceGroups/RG"
    "/providers/Microsoft.Compute/disks/Os"
)


def test_a_managed_disk_is_named_by_its_id_in_lower_case() -> None:
    """However it is written: one disk has one name, by which it is claimed (invariant 18)."""
    shouted, plain = (
        parse_command(json.dumps({**PROTECT, "source": id_}).encode(), "m-1")
        for id_ in (MANAGED.upper(), MANAGED)
    )
    assert shouted == plain
    assert isinstance(plain, Protect)
    assert plain.source == MANAGED.lower()
    target = {"kind": "alternate", "url": MANAGED}
    restore = parse_command(json.dumps({**RESTORE, "target": target}).encode(), "m-1")
    assert isinstance(restore, Restore)
    assert restore.target.url == MANAGED.lower()


def test_a_scope_may_be_a_subscription_or_a_group() -> None:
    group = MANAGED.partition("/providers")[0]
    fields = {"type": "discover", "scope": {"url": group, "tag": "backup=yes"}}
    found = parse_command(json.dumps(fields).encode(), "m-1")
    assert isinstance(found, Discover)
    assert found.scope == Scope(url=group.lower(), tag=Tag(name="backup", value="yes"))
    assert "neither a subscription" in str(
        refusal(json.dumps({**fields, "scope": {"url": MANAGED}}).encode())
    )
