"""Snapshots of managed disks: take, copy to another region, read, list, delete."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from http import HTTPStatus

from local.arm.answers import Answer, invalid_parameter, not_allowed
from local.arm.compute.access import Access
from local.arm.compute.disk_routes import active_sas, refuse_other_source, scope_of
from local.arm.compute.disks import accepted_body, asked_bytes, asked_for, grant_is_open, identity
from local.arm.compute.kinds import (
    IN_GROUP,
    IN_SUBSCRIPTION,
    Shelves,
    Terms,
    check_name,
    require,
    required_location,
)
from local.arm.compute.polling import Family, Polling
from local.arm.compute.skus import sku_tier, whole_gib
from local.arm.compute.snapshot_limits import refuse_over_limits
from local.arm.compute.snapshots import (
    completion_percent,
    family_of,
    hydration,
    new_snapshot,
    settled_output,
    view,
)
from local.arm.compute.sources import Made, Sources, Wish
from local.arm.compute.vhds import Vhds
from local.arm.core import Core
from local.arm.paging import listed
from local.arm.routing import Call, Route
from local.arm.shelf import Resource

ONE = IN_GROUP + "/snapshots/{name}"
_TAKEN = "compute.snapshot_times"
_DEFAULT_SKU = "Standard_LRS"


@dataclass(frozen=True)
class SnapshotRoutes:
    """The operations on Microsoft.Compute/snapshots."""

    core: Core
    shelves: Shelves
    vhds: Vhds
    sources: Sources
    polling: Polling
    access: Access
    terms: Terms

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", ONE, "Snapshots_CreateOrUpdate", self._put),
            Route("PATCH", ONE, "Snapshots_Update", self._patch),
            Route("GET", ONE, "Snapshots_Get", self._get),
            Route("DELETE", ONE, "Snapshots_Delete", self._delete),
            Route("GET", IN_GROUP + "/snapshots", "Snapshots_ListByResourceGroup", self._list),
            Route("GET", IN_SUBSCRIPTION + "/snapshots", "Snapshots_List", self._list),
            Route("POST", ONE + "/beginGetAccess", "Snapshots_GrantAccess", self._grant),
            Route("POST", ONE + "/endGetAccess", "Snapshots_RevokeAccess", self._revoke),
        ]

    async def _put(self, call: Call) -> Answer:
        known = self.shelves.snapshots.get(call.path)
        if known:
            return await self._updated(call, known)
        snapshot = await self._taken(call)
        self.shelves.snapshots.put(snapshot)
        return self._accepted(call, snapshot)

    async def _taken(self, call: Call) -> Resource:
        check_name(call.params["name"], "snapshotName")
        location = required_location(call.body)
        asked = asked_for(call.body)
        wish = Wish(asked.get("creationData") or {}, location, asked_bytes(call.body), call.now)
        incremental = bool(asked.get("incremental"))
        self._admit(call, wish, incremental=incremental)
        made = await self.sources.make(wish)
        snapshot = self._snapshot(call, wish, made, incremental=incremental)
        if incremental and made.source and wish.option == "Copy":
            self._note_taken(made.source, call.now)
        return snapshot

    def _snapshot(self, call: Call, wish: Wish, made: Made, *, incremental: bool) -> Resource:
        source = made.source
        family = family_of(source, wish.location) if incremental and source else None
        body = new_snapshot(
            identity(call.path, "snapshots", call.body, wish.location),
            (call.body.get("sku") or {}).get("name", _DEFAULT_SKU),
            made.creation,
            {**made.inherited, **asked_for(call.body)},
            size_bytes=made.size_bytes or 0,
            family=family,
            now=call.now,
        )
        pace = self.terms.pace
        slow = {"CopyStart": pace.region_copy, "slow": pace.hydration}
        arrives = hydration(wish.option, source, call.now, slow) if incremental else {}
        inner = {"vhd": made.vhd, **({"family": family} if family else {}), **arrives}
        settles_at = call.now + timedelta(seconds=pace.copy)
        return Resource(call.path, body, settles_at, inner=inner)

    def _admit(self, call: Call, wish: Wish, *, incremental: bool) -> None:
        """Refuses what is over a limit before a byte is copied."""
        if wish.option == "CopyStart":
            if not incremental:
                raise invalid_parameter("incremental", "CopyStart makes incremental snapshots.")
            self._admit_region_copy(wish)
        elif incremental and wish.option == "Copy":
            source = self.sources.resource(wish.creation.get("sourceResourceId", ""))
            _refuse_other_subscription(source, call)
            unique_id = source.properties["uniqueId"]
            existing = [
                each
                for each in self.shelves.snapshots.every()
                if each.properties["creationData"].get("sourceUniqueId") == unique_id
                and each.properties.get("incremental")
            ]
            taken = self._times(unique_id)
            refuse_over_limits(source.name, taken, len(existing), wish.now, self.terms)

    def _admit_region_copy(self, wish: Wish) -> None:
        """One at a time for a disk, and so many at a time into a region."""
        running = [
            each
            for each in self.shelves.snapshots.every()
            if each.properties["creationData"]["createOption"] == "CopyStart"
            and each.body["location"] == wish.location
            and completion_percent(each, wish.now) != 100
        ]
        source = self.sources.resource(wish.creation.get("sourceResourceId", ""))
        family = family_of(source, wish.location)
        same_disk = [each for each in running if each.inner.get("family") == family]
        if same_disk or len(running) >= self.terms.region_copies:
            raise not_allowed(
                f"Snapshot {source.name} cannot be copied now: "
                f"{len(same_disk or running)} other copies are in progress."
            )

    def _times(self, unique_id: str) -> list[datetime]:
        known = self.core.store.get(_TAKEN, unique_id)
        return [datetime.fromisoformat(at) for at in known["at"]] if known else []

    def _note_taken(self, source: Resource, now: datetime) -> None:
        """Remembers the time also where the snapshot is deleted soon after."""
        unique_id = source.properties["uniqueId"]
        kept = [*self._times(unique_id), now][-self.terms.snapshots_per_window :]
        self.core.store.put(_TAKEN, unique_id, {"at": [at.isoformat() for at in kept]})

    async def _patch(self, call: Call) -> Answer:
        return await self._updated(call, require(self.shelves.snapshots, call))

    async def _updated(self, call: Call, known: Resource) -> Answer:
        """SKU, tags, a larger size; the bytes stay those of the first request."""
        refuse_other_source(known, call.body)
        asked = {k: v for k, v in asked_for(call.body).items() if k != "creationData"}
        size_bytes = await self._grown(call, known)
        measured = {"diskSizeGB": whole_gib(size_bytes), "diskSizeBytes": size_bytes}
        snapshot = known.with_properties(**{**asked, **measured})
        changed = {key: call.body[key] for key in ("tags",) if call.body.get(key) is not None}
        sku = (call.body.get("sku") or known.body["sku"])["name"]
        changed["sku"] = {"name": sku, "tier": sku_tier(sku)}
        settles_at = call.now + timedelta(seconds=self.terms.pace.copy)
        snapshot = replace(snapshot, body={**snapshot.body, **changed}, settles_at=settles_at)
        self.shelves.snapshots.put(snapshot)
        return self._accepted(call, snapshot, known=True)

    async def _grown(self, call: Call, known: Resource) -> int:
        before = int(known.properties["diskSizeBytes"])
        size_bytes = asked_bytes(call.body) or before
        if size_bytes < before or (size_bytes > before and known.properties["incremental"]):
            raise not_allowed(f"Snapshot {known.name} cannot be resized.")
        await self.vhds.resize(known.inner["vhd"], size_bytes)
        return size_bytes

    def _accepted(self, call: Call, snapshot: Resource, *, known: bool = False) -> Answer:
        operation = self.core.operations.begin(
            call, self.terms.pace.copy, output=settled_output(snapshot)
        )
        if operation.error:
            self.shelves.snapshots.put(replace(snapshot, failed=True))
        location = snapshot.body["location"]
        headers = self.polling.headers(call, operation, Family.DISK, location, monitor=True)
        kept = {"creationData": snapshot.properties["creationData"]} if known else None
        body = accepted_body(snapshot.body, call.body, kept)
        return Answer(HTTPStatus.ACCEPTED, body, headers)

    async def _get(self, call: Call) -> Answer:
        return Answer(200, view(require(self.shelves.snapshots, call), call.now))

    async def _list(self, call: Call) -> Answer:
        found = self.shelves.snapshots.under(scope_of(call))
        return listed(call, [view(snapshot, call.now) for snapshot in found])

    async def _delete(self, call: Call) -> Answer:
        snapshot = self.shelves.snapshots.get(call.path)
        if snapshot is None:
            return Answer(HTTPStatus.NO_CONTENT)
        if grant_is_open(snapshot, call.now):
            raise active_sas(snapshot.name, "snapshot", "deleting")
        self.shelves.snapshots.delete(snapshot.id)
        await self.vhds.delete(snapshot.inner["vhd"])
        operation = self.core.operations.begin(call, self.terms.pace.delete)
        location = snapshot.body["location"]
        headers = self.polling.headers(call, operation, Family.DISK, location, monitor=True)
        return Answer(HTTPStatus.ACCEPTED, None, headers)

    async def _grant(self, call: Call) -> Answer:
        snapshot = require(self.shelves.snapshots, call)
        percent = completion_percent(snapshot, call.now)
        if percent is not None and percent < 100:
            raise not_allowed(
                f"Snapshot {snapshot.name} cannot be read before its completionPercent is 100."
            )
        return await self.access.grant(call, self.shelves.snapshots, snapshot)

    async def _revoke(self, call: Call) -> Answer:
        snapshot = require(self.shelves.snapshots, call)
        return await self.access.revoke(call, self.shelves.snapshots, snapshot)


def _refuse_other_subscription(source: Resource, call: Call) -> None:
    """An incremental snapshot is taken in its disk's own subscription (documented)."""
    if source.id.split("/")[2].casefold() != call.subscription.casefold():
        raise not_allowed(
            f"Incremental snapshots of {source.name} can be created only in its own subscription."
        )
