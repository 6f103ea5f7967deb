"""What only Azure does to its callers: bad days, limits, refusals; and what of it we repeat."""

from collections.abc import Callable
from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from shared.model.deferral import Deferred
from shared.model.errors import Invalid, NotFound, Transient
from shared.model.ids import DiskUrl
from shared.model.job import Status
from shared.model.recovery import VaultRestore
from shared.model.vault import Redundancy, Vault
from tests.contract.recovery.world import (
    POLICY,
    REGION,
    STAGING,
    SUBNET,
    FakeAzure,
    RecoveryWorld,
    azure_world,
    with_redundancy,
)
from tests.unit.recovery_world import SUBSCRIPTION
from tests.unit.recovery_world import VAULT as OTHER_VAULT

pytestmark = pytest.mark.stack

JOB = "c0ce55e0-3ab9-48aa-9757-6ae8221c9f11"
EMPTY = ("Something", 500, "CloudStorageUnexpectedError", "")
BAD_DAYS = [
    EMPTY,
    ("Gateway", 504, "GatewayTimeout", "The gateway did not receive a response."),
    ("Host", 502, "InvalidGatewayHost", "Host name resolution failed."),
    ("Internal", 500, "RestApiInternalError", "The REST API call encountered an error."),
]


async def each(listing: Any) -> list[Any]:
    return [page async for page in listing]


def calls(world: RecoveryWorld) -> dict[str, Callable[[], Any]]:
    """Every kind of request, by the operation that the fake calls it."""
    r, vault, vm = world.recovery, world.vault, world.machine("vm1")
    until = world.clock.now() + timedelta(days=30)
    wanted = VaultRestore(point="1", kind="disks", machine=vm, staging_account=STAGING)
    return {
        "Vaults_Get": lambda: r.make(vault),
        "Vaults_Update": lambda: r.make(with_redundancy(world, Redundancy.LRS)),
        "Vaults_CreateOrUpdate": lambda: r.make(replace(vault, url=f"{vault.url}2")),
        "Vaults_Delete": lambda: r.delete(vault),
        "ProtectionPolicies_CreateOrUpdate": lambda: r.put_policy(vault, "gold", POLICY),
        "ProtectionPolicies_Get": lambda: r.policy(vault, "default"),
        "BackupStatus_Get": lambda: r.protection_of(vm, REGION),
        "ProtectionContainers_Refresh": lambda: r.discover(vault),
        "ProtectionContainerRefreshOperationResults_Get": lambda: r.discovered(vault, JOB),
        "BackupProtectableItems_List": lambda: each(r.protectable(vault)),
        "ProtectedItems_Get": lambda: r.item(vault, vm),
        "BackupProtectedItems_List": lambda: each(r.items(vault)),
        "ProtectedItems_CreateOrUpdate": lambda: r.enable(vault, vm, "default"),
        "ProtectedItems_Delete": lambda: r.remove(vault, vm),
        "Backups_Trigger": lambda: r.backup(vault, vm, until),
        "Restores_Trigger": lambda: r.restore(vault, wanted),
        "RecoveryPoints_List": lambda: each(r.points(vault, vm)),
        "BackupOperationStatuses_Get": lambda: r.operation(vault, JOB),
        "JobDetails_Get": lambda: r.job(vault, JOB),
        "BackupJobs_List": lambda: each(r.jobs(vault, until)),
        "JobCancellations_Trigger": lambda: r.cancel(vault, JOB),
    }


async def test_the_kinds_of_request_are_these(azure: RecoveryWorld, people: FakeAzure) -> None:
    """Each call above makes the request that it stands for."""
    for operation, call in calls(azure).items():
        people.fault(operation=f"^{operation}$", status=503)
        with pytest.raises(Transient):
            await call()
    assert [count["fired"] for count in people.core.faults.counts()] == [1] * len(calls(azure))


@pytest.mark.parametrize("bad_day", BAD_DAYS, ids=lambda each: each[0])
async def test_bad_days_pass(
    azure: RecoveryWorld, people: FakeAzure, bad_day: tuple[str, int, str, str]
) -> None:
    _, status, code, message = bad_day
    for operation, call in calls(azure).items():
        people.fault(
            operation=f"^{operation}$", status=status, error_code=code, message=message, times=1
        )
        with pytest.raises(Transient) as failed:
            await call()
        assert failed.value.code == code
        assert str(failed.value).rstrip(": "), "there is always something to read"


@pytest.mark.fault(49)
@pytest.mark.parametrize("asked", [None, 77])
async def test_who_asks_too_often_is_told_when_to_come_back(
    azure: RecoveryWorld, people: FakeAzure, asked: int | None
) -> None:
    """By a header, or, where the recordings have none, by the sentence."""
    sentence = "Number of requests exceeded the limit. Please try again after '324' seconds."
    for operation, call in calls(azure).items():
        people.fault(
            operation=f"^{operation}$",
            status=429,
            error_code="ResourceRequestsThrottled",
            message=sentence,
            retry_after=asked,
        )
        with pytest.raises(Deferred) as deferred:
            await call()
        assert deferred.value.retry_after == (asked or 324)


async def test_cut_connections(azure: RecoveryWorld, people: FakeAzure) -> None:
    for operation, call in calls(azure).items():
        people.fault(operation=f"^{operation}$", drop="before")
        with pytest.raises(Transient) as failed:
            await call()
        assert failed.value.code == "ConnectionFailed"


@pytest.mark.fault(49)
async def test_150_looks_at_jobs_an_hour() -> None:
    async with azure_world(hourly_reads=150) as (world, _):
        await world.open()
        machine = await world.protect()
        until = world.clock.now() + timedelta(days=30)
        job = await world.job(await world.recovery.backup(world.vault, machine, until))
        world.clock.advance(3600)
        for _ in range(150):
            await world.recovery.job(world.vault, job.id)
        with pytest.raises(Deferred) as deferred:
            await world.recovery.job(world.vault, job.id)
        wait = deferred.value.retry_after
        assert wait == pytest.approx(324, abs=1)
        assert wait is not None
        world.clock.advance(wait)
        await world.recovery.job(world.vault, job.id)


@pytest.mark.fault(50)
async def test_a_vanished_operation_leaves_its_job(azure: RecoveryWorld, people: FakeAzure) -> None:
    machine = await azure.protect()
    before = azure.clock.now()
    people.fault(operation="^Backups_Trigger$", operation_fate="vanished")
    name = await azure.recovery.backup(azure.vault, machine, before + timedelta(days=30))
    with pytest.raises(Transient) as gone:
        await azure.recovery.operation(azure.vault, name)
    assert gone.value.code == "OperationGone"
    (page,) = await each(azure.recovery.jobs(azure.vault, before))
    assert [(job.operation, job.machine) for job in page] == [("Backup", machine)]


async def test_a_job_that_is_being_cancelled_is_not_refused(
    azure: RecoveryWorld, people: FakeAzure
) -> None:
    """Who asks twice, since nobody saw the first answer, must not take the job for one that goes
    on."""
    machine = await azure.protect()
    until = azure.clock.now() + timedelta(days=30)
    job = await azure.job(await azure.recovery.backup(azure.vault, machine, until))
    await azure.recovery.cancel(azure.vault, job.id)
    people.fault(
        operation="^JobCancellations_Trigger$",
        status=400,
        error_code="UserErrorJobNotCancellable",
        message="The job is not in a cancelable state.",
    )
    await azure.recovery.cancel(azure.vault, job.id)
    assert [each["fired"] for each in people.core.faults.counts()] == [1]


async def test_an_operation_that_fails(azure: RecoveryWorld, people: FakeAzure) -> None:
    people.fault(
        operation="^ProtectedItems_CreateOrUpdate$",
        operation_fate="failed",
        error_code="UserErrorVmNotFoundV2",
        message="Virtual machine doesn't exist.",
    )
    name = await azure.recovery.enable(azure.vault, azure.machine("vm1"), "default")
    azure.clock.advance(60)
    operation = await azure.recovery.operation(azure.vault, name)
    assert (operation.status, operation.job) == (Status.FAILED, "")
    assert operation.error is not None
    assert operation.error.code == "UserErrorVmNotFoundV2"


async def test_names_of_operations_are_no_secrets(azure: RecoveryWorld) -> None:
    """Status URLs are signed (invariant 10); their last part is all that is kept."""
    name = await azure.recovery.enable(azure.vault, azure.machine("vm1"), "default")
    assert len(name) == 36
    assert not set("?&=/:") & set(name)


@pytest.mark.parametrize("operation", ["Backups_Trigger", "Restores_Trigger"])
async def test_what_may_have_begun_is_not_asked_for_again(operation: str) -> None:
    """Others are: a look is repeated at once."""
    async with azure_world() as (world, people):
        await world.open()
        people.core.counters.clear()
        people.fault(operation=f"^{operation}$", status=504, error_code="GatewayTimeout", times=3)
        people.fault(operation="^ProtectedItems_Get$", status=504, times=1)
        with pytest.raises(Transient):
            await calls(world)[operation]()
        assert await world.recovery.item(world.vault, world.machine("vm1")) is None
        rows = people.core.counters.as_json()
        asked = {(row["operation"], row["status"]): row["requests"] for row in rows}
        assert asked[operation, 504] == 1
        assert asked["ProtectedItems_Get", 504] == 1
        assert asked["ProtectedItems_Get", 404] == 1


@pytest.mark.parametrize(
    ("status", "code", "advice"),
    [
        (403, "AuthorizationFailed", "Backup Operator"),
        (403, "LinkedAuthorizationFailed", "what the request names besides"),
        (409, "MissingSubscriptionRegistration", "--namespace Microsoft.RecoveryServices"),
        (400, "BMSUserErrorContainerAlreadyRegisteredToAnotherVault", "the other vault"),
        (400, "CloudDosAbsoluteLimitReached", "next day"),
        (400, "BMSUserErrorInvalidConfigureProtectionRequest", "See that the machine exists"),
    ],
)
async def test_refusals_say_what_to_do(
    azure: RecoveryWorld, people: FakeAzure, status: int, code: str, advice: str
) -> None:
    people.fault(
        operation="^ProtectedItems_CreateOrUpdate$", status=status, error_code=code, message="No."
    )
    with pytest.raises(Invalid) as refused:
        await azure.recovery.enable(azure.vault, azure.machine("vm1"), "default")
    assert advice in refused.value.action


async def test_a_new_vault_is_made_as_wanted(azure: RecoveryWorld) -> None:
    wanted = replace(azure.vault, url=f"{azure.vault.url}2", redundancy=Redundancy.ZRS)
    with pytest.raises(Deferred, match="being made"):
        await azure.recovery.make(wanted)
    azure.clock.advance(10)
    with pytest.raises(Deferred, match="redundancy changes"):
        await azure.recovery.make(wanted)
    await azure.done(lambda: azure.recovery.make(wanted))


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"region": "westeurope"}, f"is in {REGION}, not in westeurope"),
        ({"url": "https://account.blob.core.windows.net/vault"}, "not a Recovery Services vault"),
    ],
)
async def test_a_vault_that_cannot_be(
    azure: RecoveryWorld, wrong: dict[str, str], said: str
) -> None:
    vault: Vault = replace(azure.vault, **wrong)  # type: ignore[arg-type]
    with pytest.raises(Invalid, match=said):
        await azure.recovery.make(vault)


async def test_no_region_no_vault(azure: RecoveryWorld) -> None:
    with pytest.raises(Invalid, match="takes a region"):
        await azure.recovery.make(replace(azure.vault, url=f"{azure.vault.url}2", region=""))


async def test_only_allow_listed_subscriptions(azure: RecoveryWorld) -> None:
    url = azure.vault.url.replace("00000000-", "11111111-")
    with pytest.raises(Invalid, match="not one that Vaultline may use"):
        await azure.recovery.make(replace(azure.vault, url=url))


async def test_a_machine_of_another_vault(azure: RecoveryWorld, people: FakeAzure) -> None:
    other = replace(azure.vault, url=OTHER_VAULT)
    await azure.done(lambda: azure.recovery.make(other))
    await azure.recovery.put_policy(other, "default", POLICY)
    machine = await azure.protect()
    with pytest.raises(Invalid) as refused:
        await azure.recovery.enable(other, machine, "default")
    assert refused.value.code == "BMSUserErrorContainerAlreadyRegisteredToAnotherVault"


async def test_a_machine_that_fails_its_backup_is_not_healthy(
    azure: RecoveryWorld, people: FakeAzure
) -> None:
    machine = await azure.protect()
    people.service.script({"failure": "ExtensionSnapshotFailedNoNetwork"})
    job = await azure.back_up(machine)
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == "ExtensionSnapshotFailedNoNetwork"
    item = await azure.item(machine)
    assert not item.healthy
    assert item.health.startswith("ExtensionSnapshotFailedNoNetwork: ")
    assert await azure.points(machine) == []


@pytest.mark.parametrize(
    "failure", ["UserErrorBCMRestoreStorageAccountNotFound", "UserErrorResourceGroupNotFound"]
)
async def test_a_restore_that_fails(azure: RecoveryWorld, people: FakeAzure, failure: str) -> None:
    machine = await azure.protect()
    await azure.back_up(machine)
    (point,) = await azure.points(machine)
    people.service.script({"failure": failure})
    wanted = VaultRestore(
        point=point.name, kind="original", machine=machine, staging_account=STAGING
    )
    job = await azure.ended(await azure.recovery.restore(azure.vault, wanted))
    assert job.status is Status.FAILED
    assert job.error is not None
    assert job.error.code == failure


@pytest.mark.parametrize("kind", ["disks", "alternate"])
async def test_no_restore_makes_anything_in_a_group_that_is_not_allowed(
    azure: RecoveryWorld, people: FakeAzure, kind: str
) -> None:
    """The vault itself would: it has more rights than whoever asks us."""
    machine = await azure.protect()
    await azure.back_up(machine)
    (point,) = await azure.points(machine)
    others = azure.vault.url.partition("/resourcegroups/")[0] + "/resourcegroups/others"
    wanted = VaultRestore(
        point=point.name,
        kind=kind,
        machine=machine,
        staging_account=STAGING,
        group=others,
        new_machine=DiskUrl(f"{others}/providers/microsoft.compute/virtualmachines/vm9"),
        subnet=SUBNET,
    )
    people.core.groups.ensure(SUBSCRIPTION, "others", REGION)
    with pytest.raises(Invalid, match="resource group others"):
        await azure.recovery.restore(azure.vault, wanted)


async def test_a_restore_without_its_target_is_refused_by_us(azure: RecoveryWorld) -> None:
    wanted = VaultRestore(
        point="1", kind="alternate", machine=azure.machine("vm1"), staging_account=STAGING
    )
    for each_, said in ((wanted, "a new machine needs"), (replace(wanted, kind="x"), "no kind")):
        with pytest.raises(Invalid, match=said):
            await azure.recovery.restore(azure.vault, each_)


async def test_long_lists_come_in_pages(azure: RecoveryWorld) -> None:
    for number in range(120):
        azure.make_machine(f"more{number}")
    await azure.discover()
    pages = await each(azure.recovery.protectable(azure.vault))
    assert [len(page) for page in pages] == [100, 21]


async def test_a_vault_deleted_by_others_meanwhile(azure: RecoveryWorld, people: FakeAzure) -> None:
    """As recorded: everything below it answers that the vault is not there."""
    await people.requests("DELETE", azure.vault.url, None)
    azure.clock.advance(60)
    with pytest.raises(NotFound) as gone:
        await azure.recovery.operation(azure.vault, JOB)
    assert gone.value.code == "VaultNotFound"
