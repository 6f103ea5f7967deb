"""`vaultline demo --vm`: two virtual machines, one in a vault of ours and one in one of Azure's."""

from cli.demo.vm.command import SETTINGS as VM_SETTINGS
from cli.demo.vm.command import vm_demo

__all__ = ["VM_SETTINGS", "vm_demo"]
