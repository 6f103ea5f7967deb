"""What the name of a machine's size tells (Azure's naming: family, vCPUs, features, version)."""

import re

from shared.model.machine import OS_LUN, Machine

FIRST_INTEL, FIRST_AMD = 6, 7
"""The versions from which on Azure takes no crash-consistent point of several disks at one moment
(its support matrix of restore points)."""
TORN = "on a machine of this size its disks may not be of one moment"
_SIZE = re.compile(r"standard_[a-z]+\d+(?:-\d+)?([a-z]*)(?:_[a-z0-9]+)*_v(\d+)")


def may_be_torn(machine: Machine) -> bool:
    """Whether a crash-consistent point of it may not be consistent across its disks."""
    data = [each for each in machine.disks if each.lun != OS_LUN]
    return len(data) > 1 and _is_of_late(machine.size)


def _is_of_late(size: str) -> bool:
    """An `a` among the features is AMD, a `p` Arm, of which nothing is said."""
    found = _SIZE.fullmatch(size.lower())
    if found is None or "p" in found[1]:
        return False
    return int(found[2]) >= (FIRST_AMD if "a" in found[1] else FIRST_INTEL)
