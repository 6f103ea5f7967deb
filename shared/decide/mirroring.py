"""Our item and its points as a Recovery Services vault has them: Azure is the truth."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import date, datetime, timedelta

from shared.decide.decision import Decision
from shared.decide.errands import SKEW, SLOT_PATIENCE, follow_message, told, with_errand
from shared.decide.retention import Mark, RetentionDecision, RetentionPlan
from shared.decide.schedule import latest_slot
from shared.decide.vault_policy import translate
from shared.model.errors import Invalid
from shared.model.ids import ItemId, JobId, PointId, PolicyName, digest, slot_job
from shared.model.item import Item, ProtectionState
from shared.model.job import TAKE_SNAPSHOT, TRANSFER, Job, Operation, Status, SubTask
from shared.model.ledger import Delete, Insert, RowChange, Versioned, update
from shared.model.mirroring import Errand
from shared.model.point import Kind, Point, Reason, Tier
from shared.model.policy import Policy
from shared.model.recovery import VaultItem, VaultItemState, VaultJob, VaultPoint

RULE = "recovery-services"
"""Why a mirrored point is kept: by the vault, which alone decides."""
NOT_TOLD = "the vault does not tell what it moved"
POLICY_CHARACTERS = 150
_PREFIX = "vaultline-"
_OF_SCHEDULE = ("schedule:", "time_zone:")
_STATES = {
    VaultItemState.INITIAL_BACKUP_PENDING: ProtectionState.INITIAL_BACKUP_PENDING,
    VaultItemState.PROTECTED: ProtectionState.PROTECTED,
    VaultItemState.STOPPED: ProtectionState.PROTECTION_STOPPED,
}
_SAME = timedelta(hours=1)
"""Two answers about one end differ by less."""


def policy_in_vault(name: PolicyName) -> str:
    """What our policy is called there: never as one of the vault's own, or of somebody else's."""
    wanted = f"{_PREFIX}{name}"
    if len(wanted) <= POLICY_CHARACTERS:
        return wanted
    return f"{wanted[: POLICY_CHARACTERS - 11]}-{digest(name)}"


def check_losses(policy: PolicyName, vault: str, losses: Sequence[str], *, accepted: bool) -> None:
    """Raises `Invalid` with what of the policy the vault cannot do, unless that is accepted."""
    if not losses or accepted:
        return
    raise Invalid(
        f"vault {vault} cannot do all of policy {policy}: {'; '.join(losses)}",
        code="PolicyNotExpressible",
        action="Change the policy, or accept what is lost with --accept-losses "
        f"(`vaultline policy preview FILE --vault {vault}` lists it).",
    )


def keeps_slots(policy: Policy, today: date) -> bool:
    """Whether a vault starts its backups at just the slots of the policy. Where some of the
    schedule is lost in translation it does not: then what it starts is found by looking alone."""
    losses = translate(policy, today).losses
    return not any(loss.startswith(_OF_SCHEDULE) for loss in losses)


@dataclass(frozen=True, kw_only=True)
class Mirrored:
    """What the vault says at one moment: the item, None where it protects no such machine, and its
    points; None where it does not tell them: those of a deleted item."""

    item: VaultItem | None
    points: tuple[VaultPoint, ...] | None = ()


@dataclass(frozen=True, kw_only=True)
class Made:
    """A backup of ours, and the vault's job that it mirrors."""

    job: Job
    said: VaultJob

    @property
    def moved_bytes(self) -> int:
        """What the vault says it moved; 0 where it does not tell."""
        return self.said.backup_bytes or self.job.moved_bytes

    def point_of(self, oldest_first: Sequence[VaultPoint]) -> VaultPoint | None:
        """The point that it made: its snapshot comes first of all. Later ones are of others, whose
        snapshots were taken while this one was transferred."""
        later = (point for point in oldest_first if point.taken_at >= self.said.started_at - SKEW)
        point = next(later, None)
        ended = self.said.ended_at
        return None if point and ended and point.taken_at > ended else point


def adopted_id(item: Item, policy: Policy, said: VaultJob) -> tuple[JobId, datetime | None]:
    """The job that a backup becomes which the vault began without us: that of its slot, with the
    slot, where it is one of the schedule's; so it stays one job, whoever sees it first."""
    slot = latest_slot(policy.schedule, policy.time_zone, said.started_at + SKEW)
    if slot is not None and said.started_at < slot + SLOT_PATIENCE:
        return slot_job(item.id, slot), slot
    return theirs(item.id, said), None


def theirs(item: ItemId, said: VaultJob) -> JobId:
    """The job of a backup that belongs to no slot."""
    return JobId(f"{item}.backup-{digest(said.id)}")


def adopt(
    item: Versioned[Item], id_: JobId, slot: datetime | None, said: VaultJob, now: datetime
) -> Decision[Job]:
    """The vault's job as one of ours: at its end, or in the item's place for a backup and followed
    from here on."""
    job = Job(
        id=id_,
        item_id=item.record.id,
        operation=Operation.BACKUP,
        status=Status.IN_PROGRESS,
        sub_tasks=(SubTask(name=TAKE_SNAPSHOT), SubTask(name=TRANSFER)),
        started_at=min(now, said.started_at),
        progressed_at=now,
        slot=slot,
        look_at=now,
    )
    asked = with_errand(told(job, said, now), Errand(asked_at=said.started_at))
    if not said.status.ended:
        busy = replace(item.record, snapshotting=id_)
        return Decision(asked, (update(item, busy), Insert(asked)), (follow_message(asked),))
    ended = replace(asked.end(said.status, now, said.error), look_at=None)
    return Decision(ended, (update(item, item.record), Insert(ended)))


def point_id_of(item: ItemId, name: str) -> PointId:
    """Named as the vault's own: so no point is mirrored twice."""
    plain = name.lower()
    short = plain if plain.isascii() and plain.isalnum() and len(plain) <= 40 else digest(plain)
    return PointId(f"{item}.point-{short}")


def mirror_points(
    item: ItemId,
    known: Sequence[Versioned[Point]],
    found: Iterable[VaultPoint],
    made: Sequence[Made] = (),
) -> list[RowChange]:
    """The ledger's rows as the vault has the points: new ones in, those that it does not have (any
    more) out. `made` are backups that have ended, whose points are among them."""
    rows = {row.record.id: row for row in known}
    oldest_first = sorted(found, key=lambda point: (point.taken_at, point.name))
    makers = {its.name: each for each in made if (its := each.point_of(oldest_first))}
    wanted = {
        point_id_of(item, point.name): _point(item, point, makers.get(point.name), first=not number)
        for number, point in enumerate(oldest_first)
    }
    changes: list[RowChange] = [
        Delete(row.record, row.etag) for id_, row in rows.items() if id_ not in wanted
    ]
    for id_, point in wanted.items():
        row = rows.get(id_)
        if row is None:
            changes.append(Insert(point))
        elif (still := _as_told(row.record, point)) != row.record:
            changes.append(update(row, still))
    return changes


def _point(item: ItemId, told: VaultPoint, maker: Made | None, *, first: bool) -> Point:
    job = maker.job if maker else None
    return Point(
        id=point_id_of(item, told.name),
        item_id=item,
        job_id=job.id if job else JobId(""),
        created_at=told.taken_at,
        kind=Kind.FULL if first else Kind.INCREMENTAL,
        kind_reason=NOT_TOLD,
        source=None,
        replica=None,
        mirrors=told.name,
        mirrored_tiers=told.tiers,
        consistency=told.consistency,
        size_bytes=0,
        copied_bytes=maker.moved_bytes if maker and Tier.VAULT in told.tiers else 0,
        retain_until=job.retain_until if job else None,
        reasons=(Reason(rule=RULE, until=told.expires_at),),
        expires_at=told.expires_at,
    )


def _as_told(known: Point, told: Point) -> Point:
    """What may change of a point: its tiers, and its end. The job is known from once on."""
    return replace(
        known,
        mirrored_tiers=told.mirrored_tiers,
        expires_at=told.expires_at,
        reasons=told.reasons,
        job_id=known.job_id or told.job_id,
        copied_bytes=known.copied_bytes or told.copied_bytes,
    )


def mirror_item(item: Item, told: Mirrored, now: datetime) -> Item:
    """Our item as the vault has it. One that is not there is not protected any more, whoever saw
    to that; nothing is said of one whose protection is only just being asked for."""
    seen = replace(item, mirrored_at=now)
    if told.points is not None:
        newest = max((point.taken_at for point in told.points), default=None)
        seen = replace(seen, last_point_at=newest)
    if told.item is None:
        return seen if item.following else _gone(seen)
    its = told.item
    return replace(
        seen,
        mirrors=its.id,
        state=_STATES.get(its.state, item.state),
        health=_health(item, its),
        delete_after=_deleted_at(item, its, now),
    )


def _health(item: Item, its: VaultItem) -> str:
    """What is wrong with the item, its policy too: somebody may have given it another one there."""
    found = [] if its.healthy else [its.health or "unhealthy"]
    ours = policy_in_vault(item.policy)
    if its.policy and its.policy.lower() != ours.lower() and not item.following:
        found.append(
            f"its vault has it under policy {its.policy}, not {ours}: stop its protection and "
            "protect it again"
        )
    return " ".join(found)


def _gone(item: Item) -> Item:
    return replace(
        item,
        state=ProtectionState.PROTECTION_STOPPED,
        health="its vault does not protect it any more",
    )


def _deleted_at(item: Item, its: VaultItem, now: datetime) -> datetime | None:
    """When what is softly deleted is gone; the vault tells it anew, a little different, each
    time."""
    if not its.deleted:
        return None
    if its.kept_seconds is None:
        return item.delete_after or now
    told = now + timedelta(seconds=its.kept_seconds)
    known = item.delete_after
    return known if known is not None and abs(known - told) < _SAME else told


def plan_mirrored(points: Iterable[Point]) -> RetentionPlan:
    """What our retention does with mirrored points: nothing."""
    oldest_first = sorted(points, key=lambda point: (point.created_at, point.id))
    return RetentionPlan(decisions=tuple(_left_alone(point) for point in oldest_first))


def _left_alone(point: Point) -> RetentionDecision:
    until = f" until {point.expires_at:%Y-%m-%d %H:%MZ}" if point.expires_at else ""
    return RetentionDecision(
        point=point,
        mark=Mark.KEEP,
        reasons=point.reasons,
        why=f"kept by its Recovery Services vault{until}, which alone removes it",
        release=False,
        release_why="",
    )
