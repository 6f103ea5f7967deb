"""beginGetAccess and endGetAccess: a SAS on the bytes, and its end."""

from dataclasses import dataclass
from datetime import timedelta
from http import HTTPStatus

from local.arm.answers import Answer, invalid_parameter, not_allowed
from local.arm.compute.disks import grant_is_open, resized
from local.arm.compute.footer import SIZE as FOOTER
from local.arm.compute.kinds import Shelves, Terms
from local.arm.compute.polling import Family, Polling
from local.arm.compute.sources import invalid_vhd
from local.arm.compute.vhds import NotAVhd, Vhds
from local.arm.core import Core
from local.arm.operations import Operation
from local.arm.routing import Call
from local.arm.shelf import Resource, Shelf

_NOTHING_GRANTED = {"grant_ends": None, "grant_url": None}


@dataclass(frozen=True)
class Access:
    """Grants on disks, snapshots and disk restore points.

    Durations are the caller's seconds, not the service's: the storage that honours the SAS and the
    copies made through it live in wall time.
    """

    core: Core
    shelves: Shelves
    vhds: Vhds
    polling: Polling
    terms: Terms

    async def grant(self, call: Call, shelf: Shelf, holder: Resource) -> Answer:
        """202, empty; the SAS is the operation's output."""
        write = _access(call) == "Write"
        if write != bool(holder.inner.get("uploading")):
            raise not_allowed(
                f"{'Write' if write else 'Read'} access is not allowed for {holder.name} "
                "in its present state."
            )
        url = await self._granted(call, shelf, holder, write=write)
        operation = self.core.operations.begin(
            call, self.terms.pace.access, output={"accessSAS": url}
        )
        return Answer(HTTPStatus.ACCEPTED, None, self._headers(call, holder, operation))

    async def _granted(self, call: Call, shelf: Shelf, holder: Resource, *, write: bool) -> str:
        seconds = _duration(call)
        if grant_is_open(holder, call.now):
            return str(holder.inner["grant_url"])
        self._refuse_sixth(call, shelf, holder)
        granted = await self.vhds.grant(holder.inner["vhd"], write=write, seconds=seconds)
        ends = call.now + timedelta(seconds=seconds * self.core.clock.factor)
        shelf.put(holder.knowing(grant_ends=ends.isoformat(), grant_url=granted.url))
        return granted.url

    def _refuse_sixth(self, call: Call, shelf: Shelf, holder: Resource) -> None:
        """At most five snapshots of one family have a SAS at a time."""
        family = holder.inner.get("family")
        if family is None:
            return
        relatives = [each for each in shelf.every() if each.inner.get("family") == family]
        if sum(grant_is_open(each, call.now) for each in relatives) >= self.terms.sas_per_family:
            raise not_allowed(
                f"Shared access signatures are outstanding for {self.terms.sas_per_family} "
                f"snapshots of the family of {holder.name}. Call EndGetAccess on one of them."
            )

    async def revoke(self, call: Call, shelf: Shelf, holder: Resource) -> Answer:
        """202, empty; taking back what is not granted is no error."""
        await self.vhds.revoke(holder.inner["vhd"])
        shelf.put(holder.knowing(**_NOTHING_GRANTED))
        operation = self.core.operations.begin(call, self.terms.pace.access)
        return Answer(HTTPStatus.ACCEPTED, None, self._headers(call, holder, operation))

    async def revoke_disk(self, call: Call, disk: Resource) -> Answer:
        """As `revoke`; ends an upload, whose bytes must be a VHD by now (400 InvalidVhd)."""
        if disk.inner.get("uploading") and disk.inner.get("grant_ends"):
            disk = await self._uploaded(disk)
        return await self.revoke(call, self.shelves.disks, disk)

    async def _uploaded(self, disk: Resource) -> Resource:
        try:
            await self.vhds.require_footer(disk.inner["vhd"])
        except NotAVhd as error:
            raise invalid_vhd(str(error)) from error
        size_bytes = int(disk.properties["creationData"]["uploadSizeBytes"]) - FOOTER
        measured = resized(disk, disk.body["sku"]["name"], size_bytes)
        return measured.knowing(uploading=False)

    def _headers(self, call: Call, holder: Resource, operation: Operation) -> dict[str, str]:
        location = holder.body.get("location") or holder.inner["location"]
        return self.polling.headers(call, operation, Family.DISK, location, monitor=True)


def _access(call: Call) -> str:
    access = call.body.get("access")
    if access not in ("Read", "Write"):
        raise invalid_parameter("access", "The access must be Read or Write.")
    return str(access)


def _duration(call: Call) -> int:
    seconds = call.body.get("durationInSeconds")
    if not isinstance(seconds, int) or seconds < 1:
        raise invalid_parameter("durationInSeconds", "A positive number of seconds is required.")
    return seconds
