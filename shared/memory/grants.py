"""Leave to read snapshots, as the storage service checks it when it copies from a URL."""

from dataclasses import dataclass
from datetime import datetime, timedelta

from shared.memory.numbers import Numbers
from shared.model.disk import Snapshot
from shared.model.errors import GrantOver
from shared.ports import Clock, ReadGrant

GRANT = timedelta(hours=1)


@dataclass(frozen=True)
class _Given:
    snapshot: Snapshot
    until: datetime


class Grants:
    """Grants given and not taken back; over after an hour. `revoke_all` is what others may do."""

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._numbers = Numbers()
        self._given: dict[str, _Given] = {}

    def give(self, snapshot: Snapshot) -> ReadGrant:
        """For a snapshot that may be gone, too: the service finds out when it reads."""
        url = f"{snapshot.disk}?snapshot={snapshot.id}&sig=memory-{next(self._numbers)}"
        self._given[url] = _Given(snapshot, self._clock.now() + GRANT)
        return ReadGrant(url)

    def take_back(self, grant: ReadGrant) -> None:
        self._given.pop(grant.url, None)

    def revoke_all(self) -> None:
        self._given.clear()

    @property
    def outstanding(self) -> int:
        """Grants that were not taken back, nor revoked."""
        return len(self._given)

    def redeem(self, grant: ReadGrant) -> Snapshot:
        """What the grant gives leave to read. Raises `GrantOver`."""
        given = self._given.get(grant.url)
        if given is None or self._clock.now() >= given.until:
            raise GrantOver("the source refused to be read: grant again")
        return given.snapshot
