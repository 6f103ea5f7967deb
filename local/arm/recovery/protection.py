"""Changing what is protected, and how: enable, stop, resume, delete, undelete. Pure."""

from dataclasses import replace
from datetime import datetime, timedelta
from uuid import uuid4

from local.arm.recovery.calendar_rules import next_run
from local.arm.recovery.item import Item, Protection
from local.arm.recovery.job import Job, Operation, Status, Step
from local.arm.recovery.policies import Policy
from local.arm.recovery.vault import SoftDelete


def new_change(item: Item, operation: Operation, now: datetime, seconds: float) -> Job:
    """A job without sub-tasks. A deletion counts recovery points when it ends."""
    facts: dict[str, str | None] = {"VM Name": item.machine.name}
    if operation is not Operation.DELETE:
        facts["Policy Name"] = item.policy or ""
    job = Job(
        id=str(uuid4()),
        vault=item.vault,
        item=item.id,
        machine=item.machine,
        operation=operation,
        started_at=now,
        activity=str(uuid4()),
        facts=facts,
    )
    return job.then(Step.DELETE if operation is Operation.DELETE else Step.CONFIGURE, seconds)


def changed(job: Job) -> Job:
    return job.ended(Status.COMPLETED, job.moment)


def deleted(job: Job, points: int) -> Job:
    counted = job.knowing({"Number of Recovery Points": str(points)})
    return counted.ended(Status.COMPLETED, job.moment)


def under_policy(item: Item, policy: Policy, now: datetime) -> Item:
    """Protected by a policy from now on; a stopped item goes on where it was."""
    state = item.state
    if state is Protection.STOPPED:
        state = Protection.PROTECTED if item.last_backup else Protection.PENDING
    return replace(item, policy=policy.name, state=state, next_run=next_run(policy, now))


def stopped(item: Item) -> Item:
    """No more backups; the points stay."""
    return replace(item, policy=None, state=Protection.STOPPED, next_run=None)


def softly_deleted(item: Item, soft_delete: SoftDelete, at: datetime) -> Item:
    """Gone for its owner, kept for as long as the vault says."""
    until = at + timedelta(days=soft_delete.days)
    return replace(stopped(item), deleted_until=until)


def undeleted(item: Item) -> Item:
    """Back, and stopped: protection is resumed separately."""
    return replace(item, deleted_until=None)
