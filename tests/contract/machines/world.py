"""The contract suite's world of machines: a fast fake Resource Manager, and who sits at them.

An hour of the fake's passes in 18 seconds, so that its limits can be met and waited for.
"""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from typing import TypeVar

from local.arm.controls import Guest, change_guest
from local.arm.people import Person
from shared.model.arm_ids import machine_id
from shared.model.deferral import Deferred
from shared.model.disk import Snapshot
from shared.model.ids import DiskUrl
from shared.model.machine import Consistency, RestorePoint
from shared.model.ranges import PAGE_BYTES
from shared.ports import Machines, Ports
from tests.contract.managed.world import SUBSCRIPTION, managed_world, running_arm
from tests.contract.pages import body, span, text
from tests.stack.azurite_fixtures import RunningStorage

T = TypeVar("T")
PATIENCE_SECONDS = 30.0


@contextmanager
def fast_arm(storage: RunningStorage) -> Iterator[str]:
    with running_arm(storage, "--time-factor", "200") as origin:
        yield origin


@dataclass(frozen=True)
class Site:
    """A resource group with a two-disk machine `vm1`, and the ports over it."""

    ports: Ports
    person: Person
    group: str
    subnet: str
    vm: DiskUrl

    @property
    def machines(self) -> Machines:
        return self.ports.machines

    def id_of(self, kind: str, name: str, group: str = "") -> DiskUrl:
        return DiskUrl(self.person.compute_id(group or self.group, kind, name).lower())

    def make_machine(
        self, name: str, os_type: str = "Linux", luns: tuple[int, ...] = (0,)
    ) -> DiskUrl:
        """One with an OS disk `NAME-os` and data disks `NAME-data-LUN`, of 1 GiB each."""
        person, group = self.person, self.group
        os_disk = person.make_disk(group, f"{name}-os", os_type=os_type, zone="2")
        data = {lun: person.make_disk(group, f"{name}-data-{lun}", zone="2") for lun in luns}
        interface = person.make_interface(group, f"{name}-nic", self.subnet)
        made = person.make_machine(group, name, os_disk, data, interface, os_type)
        return machine_id(made).url

    def put(self, disk: DiskUrl, first: int, letters: str) -> None:
        """A letter a page, as its machine writes it."""
        content = body(letters)
        self.person.inside(disk).blob.upload_page(content, first * PAGE_BYTES, len(content))

    def shown(self, disk: DiskUrl, pages: int = 8) -> str:
        """What its machine finds on a disk."""
        blob = self.person.inside(disk).blob
        return text(blob.download_blob(offset=0, length=pages * PAGE_BYTES).readall())

    def guest(self, vm: DiskUrl, guest: Guest) -> None:
        change_guest(self.person.endpoint, vm, guest)

    def post(self, vm: DiskUrl, action: str) -> None:
        self.person.call("POST", f"{vm}/{action}")

    async def read(self, snapshot: Snapshot, pages: int = 8) -> str:
        return text(await self.ports.disks.read(snapshot, span(0, pages)))

    async def take(
        self, vm: DiskUrl, tag: str, mode: Consistency = Consistency.FILE_SYSTEM, *left_out: DiskUrl
    ) -> RestorePoint:
        """As a backup takes it: put off until it is there."""
        return await patiently(lambda: self.machines.take_point(vm, tag, mode, left_out))


async def patiently(call: Callable[[], Awaitable[T]]) -> T:
    """The call's answer, however often it is put off."""
    async with asyncio.timeout(PATIENCE_SECONDS):
        while True:
            try:
                return await call()
            except Deferred:
                await asyncio.sleep(0.05)


@asynccontextmanager
async def machine_site(storage: RunningStorage, origin: str) -> AsyncIterator[Site]:
    async with managed_world(storage, origin) as (world, people):
        person = Person(origin, SUBSCRIPTION)
        subnet = person.make_subnet(people.group, "net")
        site = Site(world.ports, person, people.group, subnet, DiskUrl(""))
        yield Site(world.ports, person, people.group, subnet, site.make_machine("vm1"))
