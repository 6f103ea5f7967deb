"""Backups that a vault began without being asked by us: by its own schedule, or because somebody
asked it. They become jobs of ours."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime

from shared.decide.decision import Decision
from shared.decide.errands import CLOCKS
from shared.decide.mirroring import Made, adopt, adopted_id, theirs
from shared.model.errors import VaultGone
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import update
from shared.model.policy import Policy
from shared.model.recovery import VaultJob
from shared.model.vault import Vault
from shared.ports import Ports
from shared.steps.mirroring.reads import LISTED, reads_of, taken_by_ours
from shared.steps.policies import policy_of
from shared.steps.transact import the, transact, watch

LISTINGS = 4
"""So many listings of a vault's jobs serve all looks at its items between two of the same one."""


@dataclass(frozen=True, kw_only=True)
class Adopted:
    """The vault's backups that have ended, oldest first, each with our job; and until when, by the
    vault's clock, none of them is missing; None: no longer than before."""

    made: Sequence[Made] = ()
    seen_until: datetime | None = None


async def adopt_backups(ports: Ports, item: Item, vault: Vault) -> Adopted:
    """The vault's backups since those that we know of; one that has not ended is followed from now
    on. While a backup of ours is under way nothing is adopted: its job in the vault may not be
    known yet."""
    if item.snapshotting is not None:
        return Adopted()
    listed = await _listed(ports, item, vault)
    found = _new(item, listed)
    made = await _made(ports, item, vault, found)
    ends = [each.said.started_at for each in made]
    if len(made) == len(found):
        # Of a machine that nobody backs up, too: else all the vault's jobs were listed each time.
        ends += [job.started_at - LISTED for job in listed]
    return Adopted(made=made, seen_until=max(ends, default=None))


async def _listed(ports: Ports, item: Item, vault: Vault) -> list[VaultJob]:
    """The vault's jobs since the backups that we know of; a vault that is gone has none."""
    since = item.seen_until or item.protected_at - CLOCKS
    old = ports.pace.vault_mirror_seconds / LISTINGS
    try:
        return await reads_of(ports, vault).since(since, old)
    except VaultGone:
        return []


def _new(item: Item, listed: Iterable[VaultJob]) -> list[VaultJob]:
    """The machine's backups among them, oldest first."""
    mine = (job for job in listed if job.operation == "Backup" and job.machine == item.source)
    new = [job for job in mine if job.started_at != item.seen_until]
    return sorted(new, key=lambda job: job.started_at)


async def _made(ports: Ports, item: Item, vault: Vault, found: Sequence[VaultJob]) -> list[Made]:
    """Each with our job, up to the first that has not ended."""
    if not found:
        return []
    taken = await taken_by_ours(ports, item.id, found[0].started_at)
    policy, made = await policy_of(ports, item.policy), list[Made]()
    for said in found:
        job = taken.get(said.id) or await _adopt(ports, item, policy, vault, said)
        if job is None or not job.status.ended:
            break
        made.append(Made(job=job, said=said))
    return made


async def _adopt(
    ports: Ports, item: Item, policy: Policy, vault: Vault, listed: VaultJob
) -> Job | None:
    """None where a backup of ours has begun meanwhile."""
    said = await reads_of(ports, vault).job(listed.id, listed.started_at)
    await watch(ports, item.id)
    id_, slot = adopted_id(item, policy, said)
    known = await ports.ledger.get(item.id, Job, id_)
    if known is not None and known.record.mirrors != said.id:
        id_, slot = theirs(item.id, said), None
    now = ports.clock.now()
    await ports.catalog.note_job(id_, min(now, said.started_at))

    async def decide() -> Decision[Job | None]:
        row = await ports.ledger.get(item.id, Job, id_)
        if row is not None:
            return Decision(row.record)
        fresh = await the(ports, item.id, Item)
        if fresh.record.snapshotting is not None:
            return Decision(None)
        adopted = adopt(fresh, id_, slot, said, ports.clock.now())
        return Decision(adopted.result, adopted.changes, adopted.messages)

    return await transact(ports, item.id, decide)


async def note_seen(ports: Ports, item: Item, adopted: Adopted) -> None:
    """From here on the vault's jobs are listed since then, once the points of those before are
    known as well."""
    until = adopted.seen_until
    if until is None or until <= (item.seen_until or item.protected_at):
        return

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item.id, Item)
        if row is None or (row.record.seen_until or row.record.protected_at) >= until:
            return Decision(None)
        return Decision(None, (update(row, replace(row.record, seen_until=until)),))

    await transact(ports, item.id, decide)
