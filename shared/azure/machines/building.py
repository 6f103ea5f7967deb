"""New machines of restored disks: attached as they are, in the region of the disk to start from.

The network interface is made first, then the machine; both under names that a repeat finds.
"""

from typing import Any

from shared.azure.arm import Arm, FirstAnswer, body_of
from shared.azure.arm_errors import IN_GROUP, arm_translated
from shared.azure.machines.blueprints import interfaces_of, machine_body
from shared.azure.machines.naming import interface_name
from shared.azure.machines.wire import Json, state_of
from shared.azure.managed.naming import tag_in, tags_of
from shared.model.arm_ids import ArmId, ArmScope, disk_id, is_subnet, machine_id, network_id
from shared.model.cloud import check_restores_into
from shared.model.deferral import Deferred
from shared.model.errors import AlreadyExists, Invalid, SourceGone
from shared.model.machine import OS_LUN, NewMachine

NETWORK_VERSION = "2023-09-01"
NAME_A_SUBNET = "Name a subnet, in which the new machine gets an interface of its own."
MAKING_SECONDS = 20.0
"""When a machine that is being made is looked for again."""


class Building:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def build(self, machine: NewMachine, tag: str) -> None:
        """See `Machines.build`."""
        target = machine_id(machine.url)
        scope = ArmScope(target.subscription, target.group)
        check_restores_into(self._arm.cloud, scope, "machines")
        known = await self._look(target)
        if known is not None and tag_in(known) != tag:
            raise AlreadyExists(f"{target} exists already")
        if known is None or state_of(known) == "Failed":
            await self._make(target, machine, tag)
            known = await self._look(target)
        if known is None or state_of(known) != "Succeeded":
            text = f"{target}: making it takes its time"
            raise Deferred(text, retry_after=MAKING_SECONDS, code="MachineCreating")

    async def _make(self, target: ArmId, machine: NewMachine, tag: str) -> None:
        """Raises `SourceGone` for a resource group, or a disk, that is gone."""
        system = await self._system_disk(machine)
        document = machine_body(machine.blueprint, machine.disks, system)
        interfaces = await self._interfaces(target, machine, tag, str(system["location"]))
        document |= {
            "location": system["location"],
            "tags": document.get("tags", {}) | tags_of(tag),
        }
        document["properties"]["networkProfile"] = {"networkInterfaces": interfaces}
        if system.get("zones"):
            document["zones"] = system["zones"]
        first = FirstAnswer()
        with arm_translated(str(target), IN_GROUP):
            await self._operations(target).begin_create_or_update(
                *target.names, body_of(document), polling=first
            )
        await self._arm.output(first, str(target))

    async def _system_disk(self, machine: NewMachine) -> Json:
        """It says where the machine is to be: a disk is attached in its own region and zone."""
        disk = next((each.disk for each in machine.disks if each.lun == OS_LUN), None)
        if disk is None:
            raise Invalid("a machine needs the disk that it starts from: none was restored")
        id_ = disk_id(disk)
        with arm_translated(str(id_)):
            model = await self._arm.compute(id_.subscription).disks.get(*id_.names)
        body: Json = model.as_dict()
        return body

    async def _interfaces(
        self, target: ArmId, machine: NewMachine, tag: str, region: str
    ) -> list[dict[str, Any]]:
        """Raises `Invalid` where one is another machine's, or gone, or nobody knows of any."""
        if not machine.network:
            ids = interfaces_of(machine.blueprint)
        elif is_subnet(network := network_id(machine.network)):
            ids = [await self._new_interface(target, network, tag, region)]
        else:
            ids = [network]
        if not ids:
            raise Invalid(
                "the point does not say which network interfaces the machine had",
                action=NAME_A_SUBNET,
            )
        for each in ids:
            await self._check_free(each, target)
        primary = [{"primary": index == 0} for index in range(len(ids))]
        return [{"id": id_, "properties": each} for id_, each in zip(ids, primary, strict=True)]

    async def _new_interface(self, target: ArmId, subnet: str, tag: str, region: str) -> str:
        """One in the subnet, with an address that the network gives it."""
        address = {"subnet": {"id": subnet}, "privateIPAllocationMethod": "Dynamic"}
        id_ = (
            f"/subscriptions/{target.subscription}/resourcegroups/{target.group}"
            f"/providers/microsoft.network/networkinterfaces/{interface_name(target, tag)}"
        )
        document = {
            "location": region,
            "tags": tags_of(tag),
            "properties": {"ipConfigurations": [{"name": "primary", "properties": address}]},
        }
        await self._arm.put(id_, NETWORK_VERSION, document)
        return id_

    async def _check_free(self, interface: str, target: ArmId) -> None:
        try:
            body = await self._arm.get(interface, NETWORK_VERSION)
        except SourceGone:
            raise Invalid(f"network interface {interface} is gone", action=NAME_A_SUBNET) from None
        owner = str((body["properties"].get("virtualMachine") or {}).get("id", "")).lower()
        if owner not in ("", str(target)):
            raise Invalid(f"network interface {interface} is that of {owner}", action=NAME_A_SUBNET)

    async def _look(self, target: ArmId) -> Json | None:
        """The machine as it stands; None where there is none."""
        try:
            with arm_translated(str(target), IN_GROUP):
                body: Json = (await self._operations(target).get(*target.names)).as_dict()
        except SourceGone:
            return None
        return body

    def _operations(self, target: ArmId) -> Any:
        return self._arm.compute(target.subscription).virtual_machines
