"""Where records belong: partition counts and log ids of all topics as they are now, and the partition of each key."""

from coordinator.machine import Output
from schemas.fields import Record
from schemas.partition import partition_of
from schemas.topics import KEY_FIELD, Topic, members
from streams.genesis import checked_genesis
from streams.log import Log, Place


def _key_fields() -> dict[type, tuple[str, ...]]:
    """For each record type the fields that its key may come from, as `schemas.topics.key_of` has them."""
    fields: dict[type, tuple[str, ...]] = {}
    for topic in Topic:
        for record in members(topic):
            candidates = ("root", "fingerprint", "about") if topic is Topic.FACTS else (KEY_FIELD[topic],)
            fields[record] = tuple(name for name in candidates if name in record.__struct_fields__)
    return fields


KEY_FIELDS = _key_fields()


def key_of(body: Record) -> str:
    """The same as `schemas.topics.key_of`, faster: a record type says its topic, or has no key."""
    for field in KEY_FIELDS[type(body)]:
        key: str = getattr(body, field)
        if key:
            return key
    return ""


class Routes:
    """Partition counts and log ids of all topics, read from their Genesis records."""

    def __init__(self, log: Log, topics: tuple[Topic, ...] = tuple(Topic)) -> None:
        self.counts = {topic: log.partitions(topic) for topic in topics}
        self.places = {topic: [Place(topic, n) for n in range(count)] for topic, count in self.counts.items()}
        self.log_ids = {
            str(place): checked_genesis(log, place, self.counts[topic]).log_id
            for topic, places in self.places.items()
            for place in places
        }

    def place(self, topic: Topic, key: str) -> Place:
        """Where a record with this key belongs."""
        return self.places[topic][partition_of(key, self.counts[topic])]

    def place_of(self, output: Output) -> tuple[Place, str]:
        """Place and key of a machine's output."""
        key, topic, partition = key_of(output.body), output.topic, output.partition
        if partition is None:
            partition = partition_of(key, self.counts[topic])
        return self.places[topic][partition], key
