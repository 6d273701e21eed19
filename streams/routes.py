"""Where records belong: partition counts and log ids of all topics as they are now, and the partition of each key."""

from collections.abc import Callable
from operator import attrgetter

from coordinator.machine import Output
from schemas.fields import Record
from schemas.partition import partition_of
from schemas.topics import KEY_FIELD, Topic, members
from streams.genesis import checked_genesis
from streams.log import Log, Place

KeyOf = Callable[[Record], str]


def _key_by_type() -> dict[type, KeyOf]:
    """For each record type how its key is found, as `schemas.topics.key_of` has it."""
    found: dict[type, KeyOf] = {}
    for topic in Topic:
        for record in members(topic):
            candidates = ("root", "fingerprint", "about") if topic is Topic.FACTS else (KEY_FIELD[topic],)
            found[record] = _first_of([name for name in candidates if name in record.__struct_fields__])
    return found


def _first_of(fields: list[str]) -> KeyOf:
    if not fields:
        return lambda body: ""
    first: KeyOf = attrgetter(fields[0])
    others = _first_of(fields[1:])
    return (lambda body: first(body) or others(body)) if len(fields) > 1 else first


_KEY_BY_TYPE = _key_by_type()


def key_of(body: Record) -> str:
    """The same as `schemas.topics.key_of`, faster: a record type says its topic, or has no key."""
    return _KEY_BY_TYPE[type(body)](body)


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
        body, topic, partition = output.body, output.topic, output.partition
        key = _KEY_BY_TYPE[type(body)](body)
        if partition is None:
            partition = partition_of(key, self.counts[topic])
        return self.places[topic][partition], key
