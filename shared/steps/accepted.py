"""What became of a command."""

from dataclasses import dataclass

from shared.model.ids import ItemId, JobId


@dataclass(frozen=True, kw_only=True)
class Accepted:
    """The job that the command is about; `restore` where an orchestration must carry it on."""

    item_id: ItemId
    job_id: JobId
    restore: bool = False
