"""Other disks in the places of a machine's, all in one request, while it is off."""

from collections.abc import Mapping, Sequence
from typing import Any

from shared.azure.arm import Arm, FirstAnswer, body_of
from shared.azure.arm_errors import arm_translated
from shared.azure.machines.wire import Json, attached_id, entries, power_of, state_of
from shared.model.arm_ids import ArmId, disk_id
from shared.model.deferral import Deferred
from shared.model.errors import Invalid
from shared.model.machine import OS_LUN, MachineDisk, Power

CHANGING_SECONDS = 15.0
_SETTLED = frozenset({"Succeeded", "Failed"})
"""Whether or not its last change came to something: of a machine that runs, mostly an extension's
did not."""
_OF_THE_OLD = frozenset({"name", "managedDisk", "diskSizeGB", "vhd", "image", "sourceResource"})


class Swapping:
    def __init__(self, arm: Arm) -> None:
        self._arm = arm

    async def swap(self, vm: ArmId, disks: Sequence[MachineDisk], *, start: bool) -> None:
        """See `Machines.swap`."""
        body = await self._machine(vm)
        if _is_to_be_changed(body, disks):
            _check_off(vm, body)
            await self._put_in(vm, swapped(body["properties"]["storageProfile"], disks))
            body = await self._machine(vm)
        _check_settled(vm, body)
        if start and power_of(body["properties"]) is not Power.RUNNING:
            await self._power(vm, "begin_start", Power.RUNNING)

    async def switch_off(self, vm: ArmId) -> None:
        """See `Machines.switch_off`."""
        if power_of((await self._machine(vm))["properties"]) is not Power.DEALLOCATED:
            await self._power(vm, "begin_deallocate", Power.DEALLOCATED)

    async def _put_in(self, vm: ArmId, profile: Json) -> None:
        first, document = FirstAnswer(), {"properties": {"storageProfile": profile}}
        with arm_translated(str(vm)):
            await self._operations(vm).begin_update(*vm.names, body_of(document), polling=first)
        await self._arm.output(first, f"the disks of {vm}")

    async def _power(self, vm: ArmId, action: str, wanted: Power) -> None:
        first = FirstAnswer()
        with arm_translated(str(vm)):
            await getattr(self._operations(vm), action)(*vm.names, polling=first)
        await self._arm.output(first, f"switching {vm}")
        if power_of((await self._machine(vm))["properties"]) is not wanted:
            raise _changing(vm)

    async def _machine(self, vm: ArmId) -> Json:
        with arm_translated(str(vm)):
            model = await self._operations(vm).get(*vm.names, expand="instanceView")
        body: Json = model.as_dict()
        return body

    def _operations(self, vm: ArmId) -> Any:
        return self._arm.compute(vm.subscription).virtual_machines


def swapped(profile: Json, disks: Sequence[MachineDisk]) -> dict[str, Any]:
    """The storage profile with the disks at their LUNs; the others stay as they are."""
    places = dict(entries(profile))
    places |= {each.lun: _with_disk(places.get(each.lun, {}), each) for each in disks}
    changed: dict[str, Any] = {"dataDisks": [each for lun, each in places.items() if lun != OS_LUN]}
    if any(each.lun == OS_LUN for each in disks):
        changed["osDisk"] = places[OS_LUN]
    return changed


def _with_disk(place: Json, disk: MachineDisk) -> Mapping[str, Any]:
    """What the place keeps is its caching and the like. How the disk to start from came to be there
    cannot be changed."""
    kept = {name: value for name, value in place.items() if name not in _OF_THE_OLD}
    of_data = {} if disk.lun == OS_LUN else {"lun": disk.lun, "createOption": "Attach"}
    named = {"name": disk_id(disk.disk).name, "managedDisk": {"id": disk.disk}}
    return {**kept, **of_data, **named, "deleteOption": "Detach"}


def _is_to_be_changed(body: Json, disks: Sequence[MachineDisk]) -> bool:
    """Whether a disk is not where it is to be, or a change came to nothing half-way."""
    properties = body["properties"]
    there = {lun: attached_id(entry) for lun, entry in entries(properties["storageProfile"])}
    half_way = state_of(body) == "Failed" and power_of(properties) is not Power.RUNNING
    return half_way or any(there.get(each.lun) != each.disk for each in disks)


def _check_off(vm: ArmId, body: Json) -> None:
    power = power_of(body["properties"])
    if power is Power.CHANGING:
        raise _changing(vm)
    if power is Power.RUNNING:
        raise Invalid(
            f"{vm} is running: its disks can be replaced only while it is off",
            action="Leave the machine off until the restore is done, and restore again.",
        )


def _check_settled(vm: ArmId, body: Json) -> None:
    if state_of(body) not in _SETTLED:
        raise _changing(vm)


def _changing(vm: ArmId) -> Deferred:
    text = f"{vm} is being changed"
    return Deferred(text, retry_after=CHANGING_SECONDS, code="MachineChanging")
