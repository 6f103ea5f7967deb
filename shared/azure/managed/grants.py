"""Leave to read snapshots, and to fill new disks: one SAS a process for each, however many use it.

It is asked for by the first who needs it, so that the parts of one transfer share it: for a short
time first, which is enough for most increments and for any listing, then for a longer one. What
ends by itself before long is not worth a call to take it back; longer leave is taken back when
nobody has used it for a while. What a dead process leaves ends by itself, or is taken back by the
sweep of retention (`take_back`). A SAS is never printed or kept elsewhere (invariant 10).
"""

import asyncio
from collections import defaultdict
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from azure.storage.blob.aio import BlobClient

from shared.azure.arm import Arm, FirstAnswer, body_of
from shared.azure.arm_errors import arm_translated
from shared.azure.http import BlobPatience, Pool
from shared.decide.governor import may_grant
from shared.model.arm_ids import DiskPointId, Readable
from shared.model.deferral import Deferred
from shared.model.errors import VaultlineError

SHORT = timedelta(minutes=20)
"""What leave to read is asked for first. What ends so soon is left to end by itself."""
LONG = timedelta(hours=4)
"""What it is asked for where the first was used to its end; and leave to write."""
MARGIN = timedelta(minutes=1)
"""A grant that is over so soon is not given to anybody any more."""
SAS_LIMIT_SECONDS = 60.0
"""When to ask again where too many snapshots of a disk are being read."""


class GrantRefused(VaultlineError):
    """The disk or snapshot is in no state to be read, or written."""

    code = "OperationNotAllowed"


@dataclass(eq=False)
class Open:
    """A SAS, and who uses it. Never printed."""

    of: Readable
    family: str
    url: str = field(repr=False)
    until: datetime
    client: BlobClient = field(repr=False)
    used_at: datetime
    holders: int = 0
    ending: asyncio.TimerHandle | None = field(default=None, repr=False)

    @property
    def was_too_short(self) -> bool:
        """Whether it was still needed when it came to its end."""
        return self.holders > 0 or self.until - self.used_at < SHORT / 4


class Grants:
    """What this process has leave to. `ended` is told of whatever was taken back."""

    def __init__(self, arm: Arm, pool: Pool, ended: Callable[[Readable], None]) -> None:
        self._arm = arm
        self._pool = pool
        self._ended = ended
        self._open: dict[Readable, Open] = {}
        self._over: dict[Readable, Open] = {}
        self._asking: defaultdict[Readable, asyncio.Lock] = defaultdict(asyncio.Lock)
        self._ends: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def hold(
        self, of: Readable, family: str = "", write: bool = False
    ) -> AsyncIterator[Open]:
        """Leave for the time of the block. Raises `SourceGone`, `GrantRefused`; `Deferred` where
        five snapshots of the family are open."""
        held = await self._held(of, family, write)
        held.holders += 1
        if held.ending:
            held.ending.cancel()
            held.ending = None
        try:
            yield held
        finally:
            held.holders -= 1
            held.used_at = self._arm.clock.now()
            if not held.holders and self._open.get(of) is held and self._is_worth_ending(held):
                loop = asyncio.get_running_loop()
                held.ending = loop.call_later(
                    self._arm.cloud.grant_linger_seconds, self._begin_end, held
                )

    def is_open(self, of: Readable) -> bool:
        """Whether a SAS is at hand whose time is not over, whether or not the service takes it."""
        return of in self._open and self._open[of].until > self._arm.clock.now()

    def is_held(self, of: Readable) -> bool:
        """Whether somebody here uses it at this moment."""
        return of in self._open and self._open[of].holders > 0

    def forget(self, held: Open) -> None:
        """The service does not take it any more: the next who needs one asks again."""
        if self._open.get(held.of) is held:
            self._drop(held)
            self._over[held.of] = held

    async def end(self, of: Readable) -> None:
        """Takes leave back, whoever was given it; none at all is no error."""
        async with self._asking[of]:
            await self._end(of)

    async def aclose(self) -> None:
        """Takes back whatever is worth a call. What fails ends by itself, or is swept."""
        worth = [held.of for held in self._open.values() if self._is_worth_ending(held)]
        await asyncio.gather(*map(self._end_quietly, worth), *self._ends)

    async def _held(self, of: Readable, family: str, write: bool) -> Open:
        async with self._asking[of]:
            held = self._open.get(of)
            if held and held.until - MARGIN > self._arm.clock.now():
                return held
            if held:
                self.forget(held)
            self._drop_ended()
            await self._make_room(family)
            self._open[of] = await self._renewed(of, family, write, self._over.pop(of, None))
            return self._open[of]

    async def _renewed(self, of: Readable, family: str, write: bool, last: Open | None) -> Open:
        """Leave that is not the last one, which is over. That is ended only where the service
        gives it out again: another process may have a better one, and is not to lose it."""
        longer = write or (last is not None and last.was_too_short)
        fresh = await self._ask(of, family, write, LONG if longer else SHORT)
        if last is None or fresh.url != last.url:
            return fresh
        with suppress(GrantRefused):  # of an upload only its uploader's leave is ended
            await self._end(of)
        return await self._ask(of, family, write, LONG if longer else SHORT)

    def _drop_ended(self) -> None:
        """Forgets what came to its end with nobody using it."""
        now = self._arm.clock.now()
        for held in list(self._open.values()):
            if held.until <= now and not held.holders:
                self._drop(held)

    def _is_worth_ending(self, held: Open) -> bool:
        return held.until - self._arm.clock.now() > SHORT

    async def _make_room(self, family: str) -> None:
        """Takes back what nobody uses any more. Raises `Deferred` where all are in use."""
        relatives = [each for each in self._open.values() if family and each.family == family]
        if may_grant(len(relatives)):
            return
        idle = next((each for each in relatives if not each.holders), None)
        if idle is None:
            raise Deferred(
                f"{len(relatives)} snapshots of one disk are being read: the others wait",
                retry_after=SAS_LIMIT_SECONDS,
                code="SasLimit",
            )
        await self._end(idle.of)

    async def _ask(self, of: Readable, family: str, write: bool, time: timedelta) -> Open:
        now, first = self._arm.clock.now(), FirstAnswer()
        access, seconds = "Write" if write else "Read", int(time.total_seconds())
        wanted = body_of({"access": access, "durationInSeconds": seconds})
        with arm_translated(str(of), {"OperationNotAllowed": GrantRefused}):
            await self._operations(of).begin_grant_access(*of.names, wanted, polling=first)
        output = await self._arm.output(first, f"leave to read {of}")
        url = str(output["accessSAS"])
        client = BlobClient.from_blob_url(url, transport=self._pool, retry_policy=BlobPatience())
        return Open(of=of, family=family, url=url, until=now + time, client=client, used_at=now)

    def _operations(self, of: Readable) -> Any:
        compute = self._arm.compute(of.subscription)
        return (
            compute.disk_restore_point if isinstance(of, DiskPointId) else getattr(compute, of.kind)
        )

    async def _end(self, of: Readable) -> None:
        held = self._open.get(of)
        if held:
            self._drop(held)
        self._over.pop(of, None)
        await self._revoke(of)
        self._ended(of)

    async def _revoke(self, of: Readable) -> None:
        with arm_translated(str(of), {"InvalidVhd": GrantRefused}):
            await self._operations(of).begin_revoke_access(*of.names, polling=FirstAnswer())

    def _begin_end(self, held: Open) -> None:
        """Its time has come with nobody using it."""
        if self._open.get(held.of) is held and not held.holders:
            task = asyncio.get_running_loop().create_task(self._end_idle(held))
            self._ends.add(task)
            task.add_done_callback(self._ends.discard)

    async def _end_idle(self, held: Open) -> None:
        """Unless somebody has come to use it meanwhile."""
        async with self._asking[held.of]:
            if self._open.get(held.of) is held and not held.holders:
                with suppress(VaultlineError):
                    await self._end(held.of)

    async def _end_quietly(self, of: Readable) -> None:
        with suppress(VaultlineError):
            await self.end(of)

    def _drop(self, held: Open) -> None:
        del self._open[held.of]
        if held.ending:
            held.ending.cancel()
