"""What commands say of virtual machines: which of a machine's disks, by their LUNs."""

from typing import Annotated, Any

from pydantic import Field, PlainValidator, WithJsonSchema, model_validator

from shared.contracts.fields import Document, refusal
from shared.model.machine import OS_LUN, Luns

MOST_LUN = 63
"""Azure's largest machines have 64 data disks."""


def _lun(value: Any) -> int:
    if value == "os":
        return OS_LUN
    if type(value) is not int or not 0 <= value <= MOST_LUN:
        raise refusal(f"must be a LUN from 0 to {MOST_LUN}, or 'os'")
    return value


LunField = Annotated[
    int,
    PlainValidator(_lun),
    WithJsonSchema(
        {"anyOf": [{"const": "os"}, {"type": "integer", "minimum": 0, "maximum": MOST_LUN}]}
    ),
]


class DiskChoice(Document):
    """Some of a machine's disks: these alone, or all but these. The system's disk is `os`."""

    include: Annotated[list[LunField], Field(min_length=1)] | None = None
    exclude: Annotated[list[LunField], Field(min_length=1)] | None = None

    @model_validator(mode="after")
    def _one_way(self) -> "DiskChoice":
        if (self.include is None) is (self.exclude is None):
            raise refusal('names disks in one way: {"include": […]} or {"exclude": […]}')
        return self

    def meaning(self) -> Luns:
        named = self.include or self.exclude or []
        return Luns(numbers=frozenset(named), excluded=self.exclude is not None)
