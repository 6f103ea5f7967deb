"""Azure's own vaults through the SDK: the port of `shared.ports.recovery`."""

from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any

from shared.azure.arm import Arm, FirstAnswer, body_of
from shared.azure.recovery import orders
from shared.azure.recovery.asking import (
    ONCE,
    Json,
    begun,
    bodies_in,
    body_in,
    operation_in,
    pages,
    status_in,
)
from shared.azure.recovery.keeping import Keeping, is_not_empty
from shared.azure.recovery.naming import (
    FABRIC,
    ItemPlace,
    item_place,
    machine_url,
    vault_place,
)
from shared.azure.recovery.refusals import vault_translated
from shared.azure.recovery.wire import item_of, job_of, operation_of, point_of
from shared.model.arm_ids import ArmScope, VaultId, compute_scope, machine_id
from shared.model.cloud import check_restores_into
from shared.model.errors import Invalid, NotFound, Transient, VaultGone
from shared.model.ids import DiskUrl
from shared.model.job import Status
from shared.model.recovery import VaultItem, VaultJob, VaultOperation, VaultPoint, VaultRestore
from shared.model.vault import Vault

_AHEAD = timedelta(days=1)
"""Listings of jobs end somewhere; jobs that began a moment ago must be in them."""
_NOT_CANCELLABLE = "UserErrorJobNotCancellable"


class AzureRecoveryVaults:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm
        self._keeping = Keeping(arm)

    # --- vaults and policies ----------------------------------------------------------------------

    async def make(self, vault: Vault) -> None:
        await self._keeping.make(vault)

    async def delete(self, vault: Vault) -> None:
        try:
            await self._keeping.delete(vault)
        except Invalid as error:
            if not is_not_empty(error):
                raise
            held = [each async for page in self.items(vault) for each in page]
            raise _not_empty(vault, held) from None

    async def put_policy(self, vault: Vault, name: str, policy: Mapping[str, Any]) -> None:
        place = vault_place(vault)
        with vault_translated(f"policy {name} of {place}"):
            await self._client(place).protection_policies.create_or_update(
                place.name, place.group, name, body_of({"properties": policy}), cls=status_in
            )

    async def policy(self, vault: Vault, name: str) -> Mapping[str, Any] | None:
        place = vault_place(vault)
        try:
            with vault_translated(f"policy {name} of {place}"):
                body = await self._client(place).protection_policies.get(
                    place.name, place.group, name, cls=body_in
                )
        except NotFound as error:
            _but_for_the_vault(error)
            return None
        properties: Json = body["properties"]
        return properties

    # --- machines and their protection ------------------------------------------------------------

    async def protection_of(self, machine: DiskUrl, region: str) -> str:
        client = self._arm.backup(machine_id(machine).subscription)
        with vault_translated(machine):
            body = await client.backup_status.get(
                region, body_of(orders.machine_status(machine)), cls=body_in
            )
        return str(body.get("vaultId") or "").lower()

    async def discover(self, vault: Vault) -> str:
        place = vault_place(vault)
        with vault_translated(str(place)):
            name: str = await self._client(place).protection_containers.refresh(
                place.name, place.group, FABRIC, cls=operation_in
            )
        return name

    async def discovered(self, vault: Vault, operation: str) -> bool:
        place = vault_place(vault)
        results = self._client(place).protection_container_refresh_operation_results
        try:
            with vault_translated(str(place)):
                status = await results.get(
                    place.name, place.group, FABRIC, operation, cls=status_in
                )
        except NotFound as error:
            # Nobody knows of it any more: what can be protected tells what it found.
            _but_for_the_vault(error)
            return True
        return bool(status == 204)

    def protectable(self, vault: Vault) -> AsyncIterator[list[DiskUrl]]:
        place = vault_place(vault)
        listing = self._client(place).backup_protectable_items.list(
            place.name, place.group, filter=orders.MACHINES, cls=bodies_in
        )
        return pages(listing, str(place), _protectable)

    async def item(self, vault: Vault, machine: DiskUrl) -> VaultItem | None:
        place = item_place(vault, machine)
        try:
            with vault_translated(f"{machine} in {place.vault}"):
                body = await self._items(place).get(*place.names, cls=body_in)
        except NotFound as error:
            _but_for_the_vault(error)
            return None
        return item_of(body)

    def items(self, vault: Vault) -> AsyncIterator[list[VaultItem]]:
        place = vault_place(vault)
        listing = self._client(place).backup_protected_items.list(
            place.name, place.group, filter=orders.ITEMS, cls=bodies_in
        )
        return pages(listing, str(place), item_of)

    async def enable(self, vault: Vault, machine: DiskUrl, policy: str) -> str:
        place = item_place(vault, machine)
        return await self._put(place, orders.under_policy(machine, place.vault, policy))

    async def stop(self, vault: Vault, machine: DiskUrl) -> str:
        return await self._put(item_place(vault, machine), orders.stopped(machine))

    async def undelete(self, vault: Vault, machine: DiskUrl) -> str:
        return await self._put(item_place(vault, machine), orders.undeleted(machine))

    async def remove(self, vault: Vault, machine: DiskUrl) -> str:
        place = item_place(vault, machine)
        try:
            with vault_translated(f"{machine} in {place.vault}"):
                name: str = await self._items(place).delete(*place.names, cls=operation_in)
        except NotFound as error:
            _but_for_the_vault(error)
            return ""
        return name

    # --- backups and restores ---------------------------------------------------------------------

    async def backup(self, vault: Vault, machine: DiskUrl, retain_until: datetime) -> str:
        place = item_place(vault, machine)
        with vault_translated(f"{machine} in {place.vault}"):
            name: str = await self._client(place.vault).backups.trigger(
                *place.names, body_of(orders.backup(retain_until)), cls=operation_in, **ONCE
            )
        return name

    async def restore(self, vault: Vault, wanted: VaultRestore) -> str:
        _check_restored_where_allowed(self._arm, wanted)
        place, first = item_place(vault, wanted.machine), FirstAnswer()
        order = body_of(orders.restore(wanted, vault.region))
        with vault_translated(f"point {wanted.point} of {wanted.machine}"):
            await self._client(place.vault).restores.begin_trigger(
                *place.names, wanted.point, order, polling=first, **ONCE
            )
        return begun(first.response)

    def points(self, vault: Vault, machine: DiskUrl) -> AsyncIterator[list[VaultPoint]]:
        place = item_place(vault, machine)
        listing = self._client(place.vault).recovery_points.list(*place.names, cls=bodies_in)
        return pages(listing, f"{machine} in {place.vault}", point_of)

    # --- what has become of it --------------------------------------------------------------------

    async def operation(self, vault: Vault, operation: str) -> VaultOperation:
        place = vault_place(vault)
        subject = f"operation {operation} of {place}"
        try:
            with vault_translated(subject):
                body = await self._client(place).backup_operation_statuses.get(
                    place.name, place.group, operation, cls=body_in
                )
        except NotFound as error:
            _but_for_the_vault(error)
            text = f"{subject}: nobody knows of it any more"
            raise Transient(text, code="OperationGone") from None
        return operation_of(body)

    async def job(self, vault: Vault, job: str) -> VaultJob:
        place = vault_place(vault)
        with vault_translated(f"job {job} of {place}"):
            body = await self._client(place).job_details.get(
                place.name, place.group, job, cls=body_in
            )
        return job_of(body, place)

    async def jobs(self, vault: Vault, since: datetime) -> AsyncIterator[list[VaultJob]]:
        place = vault_place(vault)
        wanted = orders.jobs_between(since, self._arm.clock.now() + _AHEAD)
        listing = self._client(place).backup_jobs.list(
            place.name, place.group, filter=wanted, cls=bodies_in
        )
        async for page in pages(listing, str(place), lambda body: job_of(body, place)):
            # The filter knows whole seconds.
            yield [job for job in page if job.started_at >= since]

    async def cancel(self, vault: Vault, job: str) -> None:
        place = vault_place(vault)
        try:
            with vault_translated(f"job {job} of {place}"):
                await self._client(place).job_cancellations.trigger(
                    place.name, place.group, job, cls=status_in
                )
        except Invalid as error:
            if error.code != _NOT_CANCELLABLE or not (await self._ends(vault, job)):
                raise

    async def _ends(self, vault: Vault, job: str) -> bool:
        status = (await self.job(vault, job)).status
        return status.ended or status is Status.CANCELLING

    # --- how to ask -------------------------------------------------------------------------------

    async def _put(self, place: ItemPlace, document: Json) -> str:
        first = FirstAnswer()
        with vault_translated(f"{place.machine} in {place.vault}"):
            await self._items(place).begin_create_or_update(
                *place.names, body_of(document), polling=first
            )
        return begun(first.response)

    def _client(self, place: VaultId) -> Any:
        return self._arm.backup(place.subscription)

    def _items(self, place: ItemPlace) -> Any:
        return self._client(place.vault).protected_items


def _check_restored_where_allowed(arm: Arm, wanted: VaultRestore) -> None:
    """The vault may do more than we: it is not asked for what no restore of ours may make."""
    if wanted.kind == "disks" and wanted.group:
        check_restores_into(arm.cloud, compute_scope(wanted.group), "disks")
    if wanted.kind == "alternate" and wanted.new_machine:
        new = machine_id(wanted.new_machine)
        check_restores_into(arm.cloud, ArmScope(new.subscription, new.group), "machines")


def _but_for_the_vault(error: NotFound) -> None:
    """That something is not there is an answer; raises where it is the vault that is not."""
    if isinstance(error, VaultGone):
        raise error


def _protectable(body: Json) -> DiskUrl:
    return machine_url(str(body["properties"]["virtualMachineId"]))


def _not_empty(vault: Vault, items: list[VaultItem]) -> Invalid:
    """What is in the vault, and what to do about it."""
    shown = [each.machine + (" (deleted, kept a while)" if each.deleted else "") for each in items]
    return Invalid(
        f"vault {vault.name} holds {', '.join(shown) or 'something'}",
        code="VaultNotEmpty",
        action="Stop the protection of its items and delete their data; softly deleted ones go by "
        "themselves after their days, or are undeleted first and deleted with soft delete off.",
    )
