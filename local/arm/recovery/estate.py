"""Everything the service knows: vaults, policies, items, points and jobs, by ARM id."""

from collections.abc import Iterator
from datetime import datetime

from local.arm.recovery.item import Item
from local.arm.recovery.job import Job
from local.arm.recovery.names import MachineRef
from local.arm.recovery.point import Point
from local.arm.recovery.policies import Policy
from local.arm.recovery.records import Records
from local.arm.recovery.refusals import not_found, vault_not_found
from local.arm.recovery.vault import Vault
from local.arm.routing import Call
from local.arm.store import Store


class Estate:
    """The records, and the questions asked of them."""

    def __init__(self, store: Store) -> None:
        self.vaults = Records(store, "rsv.vaults", Vault)
        self.policies = Records(store, "rsv.policies", Policy)
        self.items = Records(store, "rsv.items", Item)
        self.points = Records(store, "rsv.points", Point)
        self.jobs = Records(store, "rsv.jobs", Job)

    def vault(self, call: Call) -> Vault:
        """The vault in a call's path. Raises 404, as for everything below a vault that is gone."""
        name = call.params["vault"]
        vault = self.vaults.get(
            f"/subscriptions/{call.subscription}/resourceGroups/{call.group}"
            f"/providers/Microsoft.RecoveryServices/vaults/{name}"
        )
        if vault is None:
            raise vault_not_found(name, call.group)
        return vault

    def item(self, call: Call) -> Item:
        """The item in a call's path, softly deleted ones too. Raises 404."""
        found = self.find_item(self.vault(call), call.params["item"])
        if found is None:
            raise not_found(f"The protected item '{call.params['item']}'")
        return found

    def find_item(self, vault: Vault, name: str) -> Item | None:
        wanted = name.casefold()
        items = self.items.under(vault.id)
        return next((i for i in items if i.machine.item_name.casefold() == wanted), None)

    def point(self, call: Call) -> Point:
        """The recovery point in a call's path. Raises 404."""
        item = self.item(call)
        found = self.points.get(f"{item.id}/recoveryPoints/{call.params['point']}")
        if found is None or not found.is_ready:
            raise not_found(f"The recovery point '{call.params['point']}'")
        return found

    def job(self, call: Call) -> Job:
        """The job in a call's path. Raises 404."""
        found = self.jobs.get(self.vault(call).ref.job_id(call.params["job"]))
        if found is None:
            raise not_found(f"The job '{call.params['job']}'")
        return found

    def policy(self, item: Item) -> Policy | None:
        return self.policies.get(f"{item.vault}/backupPolicies/{item.policy}")

    def policy_with_id(self, policy_id: str) -> Policy | None:
        return self.policies.get(policy_id)

    def items_of(self, vault: Vault) -> list[Item]:
        return list(self.items.under(vault.id))

    def items_under(self, vault: Vault, policy: str) -> list[Item]:
        wanted = policy.casefold()
        return [i for i in self.items_of(vault) if (i.policy or "").casefold() == wanted]

    def item_of(self, machine: MachineRef) -> Item | None:
        """The item of a machine, in whatever vault: there is at most one."""
        return next((i for i in self.items.every() if i.machine.key == machine.key), None)

    def points_of(self, item: Item) -> list[Point]:
        """Newest first, those that can be seen."""
        points = [point for point in self.points.under(item.id) if point.is_ready]
        return sorted(points, key=lambda point: point.at, reverse=True)

    def jobs_of(self, vault: Vault) -> list[Job]:
        """Newest first."""
        jobs = self.jobs.under(vault.id)
        return sorted(jobs, key=lambda job: job.started_at, reverse=True)

    def running(self, item: Item) -> list[Job]:
        return [j for j in self.jobs.under(item.vault) if j.item == item.id and not j.is_over]

    def next_job(self, now: datetime) -> Job | None:
        """The job whose step has been due the longest."""
        due = [job for job in self.jobs.every() if job.due is not None and job.due <= now]
        return min(due, key=lambda job: job.moment, default=None)

    def next_scheduled(self, now: datetime) -> Item | None:
        """The item whose scheduled backup has been due the longest."""
        due = [item for item in self.items.every() if item.next_run and item.next_run <= now]
        return min(due, key=lambda item: item.next_run or now, default=None)

    def put_item(self, item: Item) -> Item:
        return self.items.put(item.id, item)

    def put_job(self, job: Job) -> Job:
        return self.jobs.put(job.key, job)

    def put_point(self, point: Point) -> Point:
        return self.points.put(point.id, point)

    def put_vault(self, vault: Vault) -> Vault:
        return self.vaults.put(vault.id, vault)

    def put_policy(self, vault: Vault, policy: Policy) -> Policy:
        return self.policies.put(vault.ref.policy_id(policy.name), policy)

    def forget_vault(self, vault: Vault) -> None:
        """With all that is under it."""
        for policy in self.policies.under(vault.id):
            self.policies.delete(vault.ref.policy_id(policy.name))
        for job in self.jobs.under(vault.id):
            self.jobs.delete(job.key)
        self.vaults.delete(vault.id)

    def policies_of(self, vault: Vault) -> Iterator[Policy]:
        return self.policies.under(vault.id)
