"""A virtual machine, protected by its id: all its disks in one point, and what is made of them."""

from uuid import uuid4

import pytest

from local.arm.controls import Guest, change_guest
from shared.model.ids import ItemId, JobId, request_job
from tests.e2e.managed import BLOCK, GIBIBYTE, GROUP, Cloud, ManagedDisk
from tests.e2e.rig import POLICY, Rig, until

pytestmark = [pytest.mark.e2e, pytest.mark.stack]
LAST = GIBIBYTE - BLOCK
VAULT = "whole-machines"
SPAN = 32 * BLOCK


@pytest.fixture
def cloud(rig: Rig) -> Cloud:
    rig.vaultline("vault", "create", VAULT)
    return Cloud(rig)


class Server:
    """A machine with a disk to start from, and data disks at LUN 0 and 3."""

    def __init__(self, cloud: Cloud) -> None:
        self.cloud = cloud
        self.name = f"vm-{uuid4().hex[:6]}"
        person = cloud.person()
        self.subnet = person.make_subnet(GROUP, f"{self.name}-net")
        system = person.make_disk(GROUP, f"{self.name}-os", os_type="Linux")
        data = {lun: person.make_disk(GROUP, f"{self.name}-{lun}") for lun in (0, 3)}
        nic = person.make_interface(GROUP, f"{self.name}-nic", self.subnet)
        self.id = person.make_machine(GROUP, self.name, system, data, nic)

    def disks(self, machine: str = "") -> dict[int | None, ManagedDisk]:
        """By LUN; None is the one that it starts from."""
        found = self.cloud.person().disks_of(machine or self.id)
        return {lun: self.cloud.opened(id_) for lun, id_ in found.items()}

    def contents(self, machine: str = "") -> dict[int | None, list[bytes]]:
        """The beginning and the end of each disk."""
        return {lun: content_of(disk) for lun, disk in self.disks(machine).items()}


def content_of(disk: ManagedDisk) -> list[bytes]:
    return [disk.content(0, SPAN), disk.content(LAST, BLOCK)]


def protected(rig: Rig, server: Server) -> ItemId:
    told = rig.vaultline("protect", server.id, "--policy", POLICY, "--vault", VAULT, "--wait")
    return ItemId(told["item_id"])


def restored(rig: Rig, item: ItemId, point: str, **target: object) -> None:
    request = rig.post(type="restore", item_id=item, point=point, target=target)
    job = rig.ended(JobId(request_job(item, "restore", request)), 180)
    assert job["status"] == "Completed", job


@pytest.fixture
def server(cloud: Cloud) -> Server:
    made = Server(cloud)
    for number, disk in enumerate(made.disks().values()):
        disk.write(number * BLOCK, number)
        disk.write(LAST, 10 + number)
    return made


def test_a_machine_is_backed_up_and_restored_in_every_way(
    rig: Rig, cloud: Cloud, server: Server
) -> None:
    rig.vaultline("vm", "check", server.id)
    item = protected(rig, server)
    before = server.contents()
    full = rig.backup_point(item)
    assert (full["kind"], full["consistency"]) == ("full", "file-system")
    assert full["copied_bytes"] >= 6 * BLOCK

    server.disks()[3].write(20 * BLOCK, 20)
    server.disks()[0].clear(BLOCK)
    after = server.contents()
    increment = rig.backup_point(item)
    assert (increment["kind"], increment["copied_bytes"]) == ("incremental", BLOCK)

    prefix = f"r{uuid4().hex[:4]}"
    group = cloud.group("restored")
    restored(rig, item, full["id"], kind="disks", group=group, prefix=prefix)
    for lun, name in ((None, "os"), (0, "0"), (3, "3")):
        made = cloud.opened(cloud.id_of(f"{prefix}-{server.name}-{name}", "restored"))
        assert content_of(made) == before[lun]

    new = f"{group}/providers/Microsoft.Compute/virtualMachines/new-{server.name}"
    restored(rig, item, increment["id"], kind="alternate", url=new, network=server.subnet)
    assert server.contents(new) == after

    lost = {disk.id for disk in server.disks().values()}
    server.disks()[None].write(5 * BLOCK, 5)
    restored(rig, item, full["id"], kind="original", confirm=True)
    assert server.contents() == before
    assert not lost & {disk.id for disk in server.disks().values()}
    power = cloud.call("GET", f"{server.id}/instanceView", version="2024-07-01")["statuses"]
    assert "PowerState/running" in [each["code"] for each in power]
    # The fourth restore point within the service's hour: it is put off, and then made.
    assert rig.backup_point(item)["tiers"] == ["snapshot", "vault"]


def test_a_machine_that_is_deleted_in_mid_backup_is_backed_up_all_the_same(
    rig: Rig, cloud: Cloud, server: Server
) -> None:
    item, contents = protected(rig, server), server.contents()
    job = rig.ask_backup(item)
    rig.snapshot_taken(job)
    disks = server.disks()
    cloud.call("DELETE", server.id, version="2024-07-01")
    for disk in disks.values():
        cloud.call("DELETE", disk.id)
    assert rig.ended(job)["status"] == "Completed"
    [point] = rig.points(item)
    new = f"{cloud.group('restored')}/providers/Microsoft.Compute/virtualMachines/n-{server.name}"
    restored(rig, item, point["id"], kind="alternate", url=new, network=server.subnet)
    assert server.contents(new) == contents


def test_a_silent_guest_is_asked_no_more_in_the_end(rig: Rig, cloud: Cloud, server: Server) -> None:
    """What a machine cannot give is said with the point."""
    change_guest(cloud.origin, server.id, Guest(agent_ready=False))
    item = protected(rig, server)
    point = rig.backup_point(item)
    assert point["consistency"] == "crash"
    assert "agent" in point["consistency_reason"]


def test_machines_are_discovered(rig: Rig, cloud: Cloud, server: Server) -> None:
    rig.vaultline("discover", f"{cloud.group(GROUP)}/virtualMachines", "--wait")

    def known() -> bool:
        listed = rig.vaultline("disks", "--prefix", "/subscriptions/")
        return server.id.lower() in {each["url"] for each in listed}

    until(known, "the machine to be registered", rig.story)
