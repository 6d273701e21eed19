"""The six topics: what each carries and which field is its key."""

from enum import StrEnum
from typing import Any

import msgspec

from schemas import assignments, claims, facts, settings, tasks, work
from schemas.fields import Record
from schemas.log import Genesis


class Topic(StrEnum):
    """Name of a topic, without the deployment's prefix."""

    SETTINGS = "settings"
    TASKS = "tasks"
    CLAIMS = "claims"
    WORK = "work"
    ASSIGNMENTS = "assignments"
    FACTS = "facts"


RECORDS: dict[Topic, Any] = {
    Topic.SETTINGS: settings.SettingRecord,
    Topic.TASKS: tasks.TaskRecord,
    Topic.CLAIMS: claims.ClaimRecord,
    Topic.WORK: work.WorkRecord,
    Topic.ASSIGNMENTS: assignments.AssignmentRecord,
    Topic.FACTS: facts.FactRecord,
}

KEY_FIELD: dict[Topic, str | None] = {
    Topic.SETTINGS: None,
    Topic.TASKS: "root",
    Topic.CLAIMS: "fingerprint",
    Topic.WORK: "pool",
    Topic.ASSIGNMENTS: "node",
    Topic.FACTS: None,
}


def key_of(topic: Topic, body: Record) -> str:
    """The partition key of a record; empty for one that is written to a partition by number.

    Facts are keyed by root job where they have one, else by fingerprint, so that a job's story stands in one partition.
    """
    field = KEY_FIELD[topic]
    if field is not None:
        return getattr(body, field, "")
    if topic is Topic.FACTS and type(body) is not Genesis:
        return _fact_key(body)
    return ""


def _fact_key(body: Record) -> str:
    for field in ("root", "fingerprint", "about"):
        key: str = getattr(body, field, "")
        if key:
            return key
    return ""


def members(topic: Topic) -> tuple[type[msgspec.Struct], ...]:
    """The record types of a topic, in order of definition."""
    return RECORDS[topic].__args__  # type: ignore[no-any-return]
