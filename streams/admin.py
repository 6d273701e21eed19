"""Topics and how many partitions they have. A count is chosen once: it says where a key belongs for ever."""

from schemas.topics import Topic
from streams.log import Log

EMBEDDED: dict[Topic, int] = {
    Topic.SETTINGS: 1,
    Topic.TASKS: 4,
    Topic.CLAIMS: 4,
    Topic.WORK: 1,
    Topic.ASSIGNMENTS: 1,
    Topic.FACTS: 4,
}
"""Partitions on one machine."""

DISTRIBUTED: dict[Topic, int] = {
    Topic.SETTINGS: 1,
    Topic.TASKS: 12,
    Topic.CLAIMS: 12,
    Topic.WORK: 1,
    Topic.ASSIGNMENTS: 6,
    Topic.FACTS: 12,
}
"""Partitions over many machines, where nobody says: as many processes can share a machine's work."""


def create_topics(log: Log, partitions: dict[Topic, int] = EMBEDDED) -> None:
    """Make the topics that are missing. Raises LogMismatch if one is there with another number of partitions."""
    assert partitions.get(Topic.SETTINGS, 1) == 1, "settings has one partition: one order for all"
    log.create(partitions)
