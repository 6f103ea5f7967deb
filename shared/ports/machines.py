"""What the steps need of virtual machines."""

from collections.abc import AsyncIterator, Sequence
from typing import Protocol

from shared.model.ids import DiskUrl
from shared.model.inventory import FoundDisk, Scope
from shared.model.machine import Consistency, Machine, MachineDisk, NewMachine, RestorePoint


class Machines(Protocol):
    """Virtual machines, by resource id. Work that takes its time is begun under a name that a
    repeat finds, and raises `Deferred` until it is done: no call waits for minutes."""

    async def state(self, vm: DiskUrl) -> Machine:
        """Raises `SourceGone` where there is no such machine, `Invalid` where it is not ours to
        use."""
        ...

    def search(self, scope: Scope) -> AsyncIterator[list[FoundDisk]]:
        """The machines in the scope, one list a request; their size is that of all disks."""
        ...

    async def take_point(
        self, vm: DiskUrl, tag: str, consistency: Consistency, leave_out: Sequence[DiskUrl] = ()
    ) -> RestorePoint:
        """One moment of all the machine's disks but those left out, under a name made of `tag`:
        one that exists under it is the answer. Raises `Deferred` while it is being taken or its
        bytes are not all there; `GuestFailed` where the guest did not do its part (what was begun
        is removed first, so that a repeat may ask for less); `SourceGone`; `Invalid`."""
        ...

    async def points(self, vm: DiskUrl) -> list[RestorePoint]:
        """Those that we took of the machine, or of one that had its name, oldest first; also of a
        machine that is gone. Unfinished ones have no disks."""
        ...

    async def delete_point(self, point: str) -> None:
        """By the restore point's id; one that is gone already is no error. Raises `Deferred` while
        somebody reads it."""
        ...

    async def build(self, machine: NewMachine, tag: str) -> None:
        """A new machine of disks that exist, marked with `tag`; repeatable. Raises `Deferred` until
        it is there, `AlreadyExists` where somebody else has the name, `SourceGone` where its
        resource group is gone, `Invalid`."""
        ...

    async def swap(self, vm: DiskUrl, disks: Sequence[MachineDisk], *, start: bool) -> None:
        """Puts the disks in the place of those at their LUNs, all at once, and starts the machine
        again where `start`. It has to be off. Repeatable. Raises `Deferred`, `SourceGone`,
        `Invalid`."""
        ...

    async def switch_off(self, vm: DiskUrl) -> None:
        """Deallocates the machine; one that is off is no error. Raises `Deferred`."""
        ...
