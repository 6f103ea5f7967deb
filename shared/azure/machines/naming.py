"""Names of what we make for machines: by them a repeat finds what an earlier try has made."""

import re
from collections.abc import Mapping

from shared.azure.managed.naming import ITEM_TAG, NAME_CHARACTERS
from shared.model.arm_ids import ArmId
from shared.model.errors import Invalid
from shared.model.ids import digest

_TAG = re.compile(r"[a-z0-9-]+(?:\.[a-z0-9-]+)?")
_POINT = re.compile(r"vl-([a-z0-9-]+(?:_[a-z0-9-]+)?)")


def collection_name(vm: ArmId, vm_id: str) -> str:
    """The collection of a machine's restore points. One that was made again under a machine's name
    has another: nothing says that Azure puts a new machine's points into an old one's."""
    return f"vl-{_stem(vm.name)}-{digest(f'{vm}#{vm_id.lower()}')}"


def point_name(tag: str) -> str:
    """The restore point's name under a tag, which can be told from it: a restore point has no tags
    of its own. Raises `Invalid`."""
    name = f"vl-{tag.replace('.', '_')}"
    if not _TAG.fullmatch(tag) or len(name) > NAME_CHARACTERS:
        raise Invalid(f"no restore point can be named for '{tag[:100]}'")
    return name


def tag_of_point(name: str) -> str:
    """The tag that a restore point was taken under; "" where it is nobody's of ours."""
    found = _POINT.fullmatch(name.lower())
    return found[1].replace("_", ".") if found else ""


def interface_name(vm: ArmId, tag: str) -> str:
    """The network interface that a new machine gets in a subnet."""
    return f"{_stem(vm.name)}-{digest(f'{vm} {tag}')}"


def is_ours(body: Mapping[str, object]) -> bool:
    """Whether we made a resource, for whichever item."""
    tags = body.get("tags")
    return isinstance(tags, Mapping) and bool(tags.get(ITEM_TAG))


def _stem(name: str) -> str:
    return re.sub(r"[^A-Za-z0-9-]", "-", name)[:50].strip("-")
