"""The same for Compute: what our adapters ask of disks, snapshots, machines and restore points.

The names that they give what they make follow from items and jobs; so where a request makes
something, it is sent with the recorded name and body, through the connection and the SDK as the
adapters do, and what comes back is read by their readers."""

from typing import Any

from shared.azure.arm import FirstAnswer, body_of
from shared.azure.arm_errors import arm_translated
from shared.azure.machines.wire import Listed, listed_of, machine_of
from shared.azure.managed.grants import GrantRefused, Grants
from shared.azure.managed.wire import Taken, disk_state, source_of, taken_of
from shared.model.arm_ids import ArmId
from shared.model.disk import DiskState
from shared.model.errors import Invalid, SourceGone, Transient
from shared.model.ids import DiskUrl
from shared.model.machine import Machine
from tests.contract.recordings.calls import Asked, Kind, Meaning
from tests.contract.recordings.playing import Client
from tests.stack.recovery_recording import Exchange

_COMPUTE = (
    r"(?P<scope>/subscriptions/(?P<subscription>[^/]+))/resourcegroups/(?P<group>[^/]+)"
    r"/providers/microsoft\.compute"
)
_DISK = _COMPUTE + "/disks/(?P<name>[^/]+)"
_SNAPSHOT = _COMPUTE + "/snapshots/(?P<name>[^/]+)"
_COLLECTION = _COMPUTE + "/restorepointcollections/(?P<collection>[^/]+)"
_POINT = _COLLECTION + "/restorepoints/(?P<name>[^/]+)"
_POLLS = r"/subscriptions/[^/]+/providers/microsoft\.compute/locations/[^/]+/(disk)?operations/.*"


def meaning(exchange: Exchange) -> Meaning:
    """What a refusal must be to us."""
    error = exchange.body["error"]
    if error["code"] == "InvalidVhd":
        return GrantRefused, GrantRefused.code
    if exchange.status == 404:
        return SourceGone, SourceGone.code
    return (Transient if exchange.status in (429, 503) else Invalid), error["code"]


def _sdk(client: Client, a: Asked) -> Any:
    return client.arm.compute(a.names["subscription"])


def _id(a: Asked) -> ArmId:
    kind: Any = "disks" if "/disks/" in a.exchange.path else "snapshots"
    return ArmId(a.names["subscription"], a.names["group"], kind, a.names["name"])


async def _get(client: Client, a: Asked, operations: str, *names: str, **options: str) -> Any:
    with arm_translated(a.exchange.path):
        found = await getattr(_sdk(client, a), operations).get(
            *(a.names[name] for name in names), **options
        )
    return found.as_dict()


async def _begin(client: Client, a: Asked, operations: str, verb: str, *names: str) -> Any:
    """What was begun, followed by its status to its end."""
    first, subject = FirstAnswer(), a.exchange.path
    body = (body_of(a.body),) if verb != "begin_delete" else ()
    with arm_translated(subject):
        begin = getattr(getattr(_sdk(client, a), operations), verb)
        await begin(*(a.names[name] for name in names), *body, polling=first)
    return await client.arm.output(first, subject, by_status=True)


# --- disks and snapshots --------------------------------------------------------------------------


async def _disk(client: Client, a: Asked) -> DiskState:
    return disk_state(_id(a), await _get(client, a, "disks", "group", "name"))


def _same_disk(a: Asked, state: DiskState) -> None:
    assert state.url == str(_id(a))
    unique = a.shown.get("uniqueId", "").lower()
    assert state.chain == f"{state.url}#{unique}"
    size = a.shown.get("diskSizeBytes") or a.shown["creationData"]["uploadSizeBytes"] - 512
    assert state.size_bytes == size


async def _snapshot(client: Client, a: Asked) -> Taken | None:
    body = await _get(client, a, "snapshots", "group", "name")
    return taken_of(body) if source_of(body) else None


def _same_snapshot(a: Asked, taken: Taken | None) -> None:
    source = a.shown["creationData"].get("sourceResourceId", "").lower()
    if "/disks/" not in source:
        assert taken is None, "a snapshot of no disk is none of ours"
        return
    assert taken is not None
    assert taken.snapshot.disk == source
    assert taken.snapshot.id == str(_id(a))
    assert taken.snapshot.chain.endswith(a.shown["creationData"].get("sourceUniqueId", "").lower())
    assert (taken.state, taken.percent) == (
        a.shown["provisioningState"],
        a.shown.get("completionPercent", 100.0),
    )


def _made(a: Asked, output: Any) -> None:
    """The operation's output is what was made. (In 2017 it did not say its own name.)"""
    created = a.properties["creationData"]["createOption"]
    assert output["properties"]["creationData"]["createOption"] == created


async def _grant(client: Client, a: Asked) -> str:
    grants = Grants(client.arm, client.pool, lambda _: None)
    async with grants.hold(_id(a)) as held:
        return held.url


def _sas(a: Asked, url: str) -> None:
    assert url.startswith("https://md-")
    assert "sig=" in url


async def _revoke(client: Client, a: Asked) -> None:
    await Grants(client.arm, client.pool, lambda _: None).end(_id(a))


# --- machines and restore points ------------------------------------------------------------------


async def _machine(client: Client, a: Asked) -> Machine:
    body = await _get(client, a, "virtual_machines", "group", "name", expand="instanceView")
    return machine_of(body)


def _same_machine(a: Asked, machine: Machine) -> None:
    profile = a.shown["storageProfile"]
    entries = [profile["osDisk"], *profile.get("dataDisks", [])]
    assert machine.url == a.answer["id"].lower()
    assert machine.vm_id == a.shown["vmId"].lower()
    assert [disk.disk for disk in machine.disks] == [
        each["managedDisk"]["id"].lower() for each in entries
    ]
    assert machine.os.value == profile["osDisk"]["osType"]
    statuses = (a.shown.get("instanceView") or {}).get("statuses") or []
    assert (f"PowerState/{machine.power.value}" in [each["code"] for each in statuses]) is bool(
        [each for each in statuses if each["code"].startswith("PowerState/")]
    )
    agent = (a.shown.get("instanceView") or {}).get("vmAgent") or {}
    ready = [each["displayStatus"] for each in agent.get("statuses", [])]
    assert machine.agent.ready is ("Ready" in ready)


def _nobody() -> DiskUrl:
    return DiskUrl("")


async def _point(client: Client, a: Asked) -> Listed:
    names = ("group", "collection", "name")
    body = await _get(client, a, "restore_points", *names)
    return listed_of(_nobody(), body, client.arm.clock.now())


def _same_point(a: Asked, point: Listed) -> None:
    _same_listed(a.answer, point)


def _same_listed(body: Any, point: Listed) -> None:
    shown = body["properties"]
    profile = (shown.get("sourceMetadata") or {}).get("storageProfile") or {}
    entries = [each for each in (profile.get("osDisk"), *profile.get("dataDisks", [])) if each]
    assert str(point.id) == body["id"].lower()
    assert point.state == shown["provisioningState"]
    assert point.tag == "", "it is none of ours"
    assert [str(each) for each in point.disks] == [
        each["diskRestorePoint"]["id"].lower() for each in entries if "diskRestorePoint" in each
    ]
    mode = shown.get("consistencyMode", "CrashConsistent")
    assert f"{point.consistency.value.replace('-', '')}consistent" == mode.lower()


async def _points(client: Client, a: Asked) -> list[Listed]:
    body = await _get(
        client, a, "restore_point_collections", "group", "collection", expand="restorePoints"
    )
    now = client.arm.clock.now()
    found = body["properties"].get("restorePoints") or ()
    return [listed_of(_nobody(), each, now) for each in found]


def _same_points(a: Asked, points: list[Listed]) -> None:
    for body, point in zip(a.shown.get("restorePoints") or (), points, strict=True):
        _same_listed(body, point)


async def _collections(client: Client, a: Asked) -> list[Any]:
    collections = _sdk(client, a).restore_point_collections
    group = a.names.get("group")
    listing = collections.list(group) if group else collections.list_all()
    with arm_translated(a.exchange.path):
        return [each.as_dict() async for each in listing]


def _same_collections(a: Asked, collections: list[Any]) -> None:
    assert [each["id"] for each in collections] == [each["id"] for each in a.answer["value"]]


async def _make_collection(client: Client, a: Asked) -> Any:
    collections = _sdk(client, a).restore_point_collections
    with arm_translated(a.exchange.path):
        made = await collections.create_or_update(
            a.names["group"], a.names["collection"], body_of(a.body)
        )
    return made.as_dict()


def _same_state(a: Asked, body: Any) -> None:
    assert body["properties"]["provisioningState"] == a.shown["provisioningState"]


def _creates(*options: str) -> Any:
    return lambda a: (a.properties.get("creationData") or {}).get("createOption") in options


def _tells_bytes(a: Asked) -> bool:
    """In 2017 a disk said its size in GB alone."""
    of_upload = "uploadSizeBytes" in a.shown.get("creationData", {})
    return a.exchange.status >= 400 or of_upload or "diskSizeBytes" in a.shown


def _nothing(_: Asked, output: Any) -> None:
    assert not output


KINDS = (
    Kind("Disks_Get", "GET", _DISK, _disk, _same_disk, wanted=_tells_bytes),
    Kind(
        "Disks_CreateOrUpdate (Upload)",
        "PUT",
        _DISK,
        lambda c, a: _begin(c, a, "disks", "begin_create_or_update", "group", "name"),
        _made,
        wanted=_creates("Upload"),
        follows=_POLLS,
    ),
    Kind(
        "Disks_Delete",
        "DELETE",
        _DISK,
        lambda c, a: _begin(c, a, "disks", "begin_delete", "group", "name"),
        _nothing,
        follows=_POLLS,
    ),
    Kind("Snapshots_Get", "GET", _SNAPSHOT, _snapshot, _same_snapshot),
    Kind(
        "Snapshots_CreateOrUpdate (Copy)",
        "PUT",
        _SNAPSHOT,
        lambda c, a: _begin(c, a, "snapshots", "begin_create_or_update", "group", "name"),
        _made,
        wanted=_creates("Copy"),
        follows=_POLLS,
    ),
    Kind(
        "Snapshots_Delete",
        "DELETE",
        _SNAPSHOT,
        lambda c, a: _begin(c, a, "snapshots", "begin_delete", "group", "name"),
        _nothing,
        follows=_POLLS,
    ),
    *(
        Kind("GrantAccess", "POST", path + "/begingetaccess", _grant, _sas, follows=_POLLS)
        for path in (_DISK, _SNAPSHOT)
    ),
    *(
        Kind("RevokeAccess", "POST", path + "/endgetaccess", _revoke, _nothing)
        for path in (_DISK, _SNAPSHOT)
    ),
    Kind(
        "VirtualMachines_Get",
        "GET",
        _COMPUTE + "/virtualmachines/(?P<name>[^/]+)",
        _machine,
        _same_machine,
    ),
    Kind(
        "RestorePointCollections_CreateOrUpdate",
        "PUT",
        _COLLECTION,
        _make_collection,
        _same_state,
        wanted=lambda a: "/virtualMachines/" in a.properties["source"]["id"],
    ),
    Kind(
        "RestorePointCollections_Get",
        "GET",
        _COLLECTION,
        _points,
        _same_points,
        wanted=lambda a: "expand" in a.exchange.query,
    ),
    Kind(
        "RestorePointCollections_List",
        "GET",
        _COMPUTE + "/restorepointcollections",
        _collections,
        _same_collections,
    ),
    Kind(
        "RestorePointCollections_ListAll",
        "GET",
        r"/subscriptions/(?P<subscription>[^/]+)/providers/microsoft\.compute"
        r"/restorepointcollections",
        _collections,
        _same_collections,
    ),
    Kind(
        "RestorePoints_Create",
        "PUT",
        _POINT,
        lambda c, a: _begin(c, a, "restore_points", "begin_create", "group", "collection", "name"),
        _nothing,
        wanted=lambda a: "sourceRestorePoint" not in a.properties,
        follows=_POLLS,
    ),
    Kind("RestorePoints_Get", "GET", _POINT, _point, _same_point),
    Kind(
        "RestorePoints_Delete",
        "DELETE",
        _POINT,
        lambda c, a: _begin(c, a, "restore_points", "begin_delete", "group", "collection", "name"),
        _nothing,
        follows=_POLLS,
    ),
)
