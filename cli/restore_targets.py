"""Where a restore is to go, as a person says it and as the command does."""

from dataclasses import dataclass
from typing import Any

from cli.machine_disks import disk_choice
from shared.model.arm_ids import ArmScope, is_machine_id, machine_id
from shared.model.errors import Invalid
from shared.model.item import Item

ORIGINAL, DISKS, MACHINE = "original", "disks", "vm"
PREFIX = "restored"


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What was said of the target: `to` is one of the three words, or what is to be made."""

    to: str
    confirm: bool
    name: str | None
    group: str | None
    network: str | None
    prefix: str | None
    only: str | None
    without: str | None

    def target(self, item: Item) -> dict[str, Any]:
        """The target as the command names it. Raises `Invalid`."""
        self._check()
        match self.to:
            case "original":
                return _original(confirm=self.confirm)
            case "disks":
                return self._disks()
            case "vm":
                return self._alternate(self._machine(item))
        return self._alternate(self.to)

    def _check(self) -> None:
        """Raises `Invalid` for an option that says nothing of such a target."""
        for option, value, kinds in (
            ("--name", self.name, (MACHINE,)),
            ("--group", self.group, (MACHINE, DISKS)),
            ("--prefix", self.prefix, (DISKS,)),
            ("--disks", self.only, (DISKS,)),
            ("--without", self.without, (DISKS,)),
        ):
            if value is not None and self.to not in kinds:
                raise Invalid(
                    f"{option} is for --to {' or --to '.join(kinds)}", action="Leave it out."
                )
        if self.network is not None and self.to in (ORIGINAL, DISKS):
            raise Invalid("--network is for a new virtual machine", action="Leave it out.")

    def _disks(self) -> dict[str, Any]:
        if self.group is None:
            raise Invalid("--to disks wants --group", action="Give a resource group's id.")
        chosen = disk_choice(self.only, self.without)
        prefix = self.prefix or PREFIX
        target = {"kind": "disks", "group": self.group, "prefix": prefix}
        return target | ({"disks": chosen} if chosen else {})

    def _alternate(self, url: str) -> dict[str, Any]:
        target = {"kind": "alternate", "url": url}
        return target | ({"network": self.network} if self.network else {})

    def _machine(self, item: Item) -> str:
        """The new machine's id: beside the old one, unless a group is named."""
        if self.name is None or not is_machine_id(item.source):
            raise Invalid(
                "--to vm wants --name, for an item that is a virtual machine",
                action="Give the new machine a name.",
            )
        old = machine_id(item.source)
        group = self.group or str(ArmScope(old.subscription, old.group))
        return f"{group}/providers/Microsoft.Compute/virtualMachines/{self.name}"


def _original(*, confirm: bool) -> dict[str, Any]:
    if not confirm:
        raise Invalid(
            "restoring to the original overwrites the protected disk, or machine",
            code="NotConfirmed",
            action="Add --confirm, or restore to something new.",
        )
    return {"kind": "original", "confirm": True}
