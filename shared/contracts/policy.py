"""The policy document (DESIGN §6): its form and ranges, and the policy that it means.

Ranges are those of Recovery Services vaults, so that a policy can move to one unchanged.
"""

from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self

from pydantic import Field, ValidationError, model_validator

from shared.contracts.fields import Document, PolicyNameField, Whole, refusal
from shared.contracts.refusals import refused
from shared.contracts.retention import RetentionDocument
from shared.contracts.schedules import Daily, Hourly, Weekly
from shared.contracts.yaml_text import read_yaml
from shared.contracts.zones import TimeZoneField
from shared.model.errors import Invalid
from shared.model.ids import PolicyName
from shared.model.policy import Checks, Policy

_STANDARD_DAYS = 5
_HOURLY_DAYS = {4: 17, 6: 22}
_ENHANCED_DAYS = 30
"""Most days of instant restore: daily and weekly; hourly by interval; hourly otherwise."""

_YEAR_DAYS = 366


class ChecksDocument(Document):
    """When the replica is compared with its source: after every full copy, unless `initial` says
    no, and again with the first backup after `every_days`."""

    initial: bool = True
    every_days: Annotated[int, Whole(1, _YEAR_DAYS, "days")] | None = None

    def meaning(self) -> Checks:
        return Checks(initial=self.initial, every_days=self.every_days)


class PolicyDocument(Document):
    """When to back up, and how long to keep what came of it."""

    name: PolicyNameField
    time_zone: TimeZoneField = "UTC"
    schedule: Annotated[Daily | Weekly | Hourly, Field(discriminator="frequency")]
    instant_restore_days: Annotated[int, Whole(1, _ENHANCED_DAYS, "days")] = 2
    consistency: Literal["application", "file-system", "crash"] = "application"
    retention: RetentionDocument
    checks: ChecksDocument | None = None

    @model_validator(mode="after")
    def _snapshots_within_bounds(self) -> Self:
        most = _most_instant_days(self.schedule)
        if self.instant_restore_days > most:
            raise refusal(
                f"instant_restore_days must be a whole number from 1 to {most} days "
                f"for this schedule"
            )
        return self

    @model_validator(mode="after")
    def _every_backup_kept(self) -> Self:
        self.retention.check_against(self.schedule)
        kept = self.retention.shortest_days()
        if self.instant_restore_days > kept:
            raise refusal(f"instant_restore_days must not be more than the {kept} days kept")
        return self

    def meaning(self) -> Policy:
        return Policy(
            name=PolicyName(self.name),
            time_zone=self.time_zone,
            schedule=self.schedule.meaning(),
            instant_restore_days=self.instant_restore_days,
            consistency=self.consistency,
            retention=self.retention.meaning(),
            checks=self.checks.meaning() if self.checks else Checks(),
            document=self.model_dump(mode="json", by_alias=True, exclude_none=True),
        )


DEFAULT_DOCUMENT: Mapping[str, Any] = {
    "name": "default",
    "schedule": {"frequency": "daily", "at": ["02:00"]},
    "instant_restore_days": 2,
    "retention": {"daily": {"keep": 30}},
}
"""Daily, 30 days, instant restore 2 days."""


def parse_policy(document: str | Mapping[str, Any]) -> Policy:
    """The policy that the document (YAML or JSON text, or its fields) means, as version 1.
    Raises `Invalid` naming each wrong field and what is allowed."""
    fields = read_yaml(document) if isinstance(document, str) else document
    if not isinstance(fields, Mapping):
        raise Invalid("a policy is an object with fields; see docs/schemas/policy.json")
    try:
        return PolicyDocument.model_validate(dict(fields)).meaning()
    except ValidationError as error:
        raise refused(error, "policy", PolicyDocument) from None


def default_policy() -> Policy:
    """The policy of who chose none."""
    return parse_policy(DEFAULT_DOCUMENT)


def _most_instant_days(schedule: Daily | Weekly | Hourly) -> int:
    if isinstance(schedule, Hourly):
        return _HOURLY_DAYS.get(schedule.every_hours, _ENHANCED_DAYS)
    return _STANDARD_DAYS
