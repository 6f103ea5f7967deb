"""Backups that a vault began without being asked by us: by its own schedule, or because somebody
asked it. They become jobs of ours."""

from collections.abc import Sequence
from dataclasses import replace

from shared.decide.decision import Decision
from shared.decide.errands import SKEW
from shared.decide.mirroring import Made, adopt, adopted_id, theirs
from shared.model.item import Item
from shared.model.job import Job
from shared.model.ledger import update
from shared.model.policy import Policy
from shared.model.recovery import VaultJob
from shared.model.vault import Vault
from shared.ports import Ports
from shared.steps.mirroring.reads import reads_of, taken_by_ours
from shared.steps.policies import policy_of
from shared.steps.transact import the, transact, watch

LISTINGS = 4
"""So many listings of a vault's jobs serve all looks at its items between two of the same one."""


async def adopt_backups(ports: Ports, item: Item, vault: Vault) -> list[Made]:
    """The vault's backups since those that we know of that have ended, each with our job; one that
    has not is followed from now on. While a backup of ours is under way nothing is adopted: its
    job in the vault may not be known yet."""
    if item.snapshotting is not None:
        return []
    found = await _found(ports, item, vault)
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


async def _found(ports: Ports, item: Item, vault: Vault) -> list[VaultJob]:
    """The machine's backups in the vault since those that we know of, oldest first."""
    since = item.seen_until or item.protected_at - SKEW
    old = ports.pace.vault_mirror_seconds / LISTINGS
    listed = await reads_of(ports, vault).since(since, old)
    mine = [job for job in listed if job.operation == "Backup" and job.machine == item.source]
    new = [job for job in mine if job.started_at != item.seen_until]
    return sorted(new, key=lambda job: job.started_at)


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


async def note_seen(ports: Ports, item: Item, made: Sequence[Made]) -> None:
    """From here on the vault's jobs are listed since the newest of those, once their points are
    known as well."""
    if not made:
        return
    newest = made[-1].said.started_at

    async def decide() -> Decision[None]:
        row = await ports.ledger.get(item.id, Item)
        if row is None:
            return Decision(None)
        if row.record.seen_until is not None and row.record.seen_until >= newest:
            return Decision(None)
        return Decision(None, (update(row, replace(row.record, seen_until=newest)),))

    await transact(ports, item.id, decide)
