"""What only the inside of a machine could do: a guest's state, and writing to its disks."""

from collections.abc import Sequence
from dataclasses import dataclass

from local.arm.answers import Answer, source_not_found
from local.arm.compute.kinds import Shelves
from local.arm.compute.vhds import Vhds
from local.arm.routing import Call, Route

_STATE = {"agentReady": "agent_ready", "agentVersion": "agent_version", "network": "network"}


@dataclass(frozen=True)
class Guests:
    """`PUT /__guests` and `POST /__disks`: the hands of whoever sits at the machine."""

    shelves: Shelves
    vhds: Vhds

    def routes(self) -> Sequence[Route]:
        return [
            Route("PUT", "/__guests", "guests", self._change),
            Route("POST", "/__disks", "disks", self._open),
        ]

    async def _change(self, call: Call) -> Answer:
        """`{"vm": id, "agentReady"?, "agentVersion"?, "network"?, "extensions"?}`.

        `extensions` are `{name: {"state": "failed", "message": …}}` of those installed; their
        `substatus` is the text in which an extension tells of its work.
        """
        vm = self.shelves.vms.get(call.body["vm"])
        if vm is None:
            raise source_not_found(call.body["vm"])
        changed = {_STATE[name]: call.body[name] for name in _STATE if name in call.body}
        vm = vm.knowing(**changed)
        self.shelves.vms.put(vm)
        for name, said in (call.body.get("extensions") or {}).items():
            extension = self.shelves.extensions.get(f"{vm.id}/extensions/{name}")
            if extension is None:
                raise source_not_found(name)
            self.shelves.extensions.put(extension.knowing(**said))
        return Answer(200, dict(vm.inner))

    async def _open(self, call: Call) -> Answer:
        """`{"disk": id}`: a URL that writes the disk's pages, as its machine does."""
        disk = self.shelves.disks.get(call.body["disk"])
        if disk is None:
            raise source_not_found(call.body["disk"])
        url = self.vhds.own_url(disk.inner["vhd"])
        size_bytes = await self.vhds.size_bytes(disk.inner["vhd"])
        return Answer(200, {"url": url, "sizeBytes": size_bytes, "vhd": disk.inner["vhd"]})
