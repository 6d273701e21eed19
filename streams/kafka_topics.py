"""The topics as they have to be in Kafka: how they are made, and what is refused before anything is read or written."""

import time
from collections.abc import Collection, Iterator, Mapping
from typing import NamedTuple

from confluent_kafka.admin import NewTopic

from schemas.fields import KIB
from schemas.topics import Topic
from streams.kafka_cluster import SLICE, Cluster, Described
from streams.kafka_settings import LARGEST_BATCH, NOTES
from streams.log import LogError, LogMismatch

REPLICAS = 3  # where nobody says, and there are as many brokers
LARGEST_REFUSED = 8 * 1024 * KIB  # bytes: what is larger, the broker refuses; what is too large for us, we answer

# Asked for when a topic is made, and of a topic that is there.
_KEPT = {
    "cleanup.policy": "delete",
    "retention.ms": "-1",
    "retention.bytes": "-1",
    "message.timestamp.type": "LogAppendTime",
    "unclean.leader.election.enable": "false",
}
# Of each key only the last record is wanted, and read from the beginning: so, small segments that are soon compacted.
_NOTED = {
    "cleanup.policy": "compact",
    # A broker refuses what a producer dates an hour ahead of the broker's own clock.
    "message.timestamp.type": "LogAppendTime",
    "unclean.leader.election.enable": "false",
    "segment.bytes": str(1024 * KIB),
    "segment.ms": "3600000",
    "min.cleanable.dirty.ratio": "0.1",
}
_AS_THEY_ARE_MADE = ("segment.bytes", "segment.ms", "min.cleanable.dirty.ratio")  # the brokers' own affair later
# While records are brought back with the times that they had. Nobody else reads or writes there until it is over.
_TIMES = "message.timestamp.type"
_FROM_THE_FUTURE = "message.timestamp.after.max.ms"
_BROUGHT = {**_KEPT, _TIMES: "CreateTime", _FROM_THE_FUTURE: str(2**63 - 1)}
# Gone since Kafka 4.0: a broker that has it is older.
_OLD = "inter.broker.protocol.version"


def make_topics(cluster: Cluster, counts: Mapping[Topic, int], *, bringing: bool = False) -> set[Topic]:
    """Make the topics that are missing; those that this call made. Raises LogMismatch for another count, LogError.

    `bringing`: records get the times that their writer says, and `finish` has to be called when all are there.
    """
    settings = cluster.settings
    check_broker(cluster)
    present = cluster.describe(settings.name(topic) for topic in counts)
    for topic, count in counts.items():
        check_count(topic, present.get(settings.name(topic)), count)
    kept = _BROUGHT if bringing else _KEPT
    wanted = {settings.name(topic): (count, kept) for topic, count in counts.items()} | {
        settings.name(NOTES): (1, _NOTED)
    }
    replicas = settings.replication or min(REPLICAS, len(cluster.brokers()))
    made = cluster.create(
        NewTopic(name, count, replicas, config=_config(config, replicas))
        for name, (count, config) in wanted.items()
        if name not in present
    )
    return {topic for topic in counts if settings.name(topic) in made}


def finish(cluster: Cluster) -> None:
    """Let the topics be as those that never were anything else: the times are the brokers'. Raises LogError."""
    for topic in Topic:
        cluster.configure(cluster.settings.name(topic), {_TIMES: _KEPT[_TIMES], _FROM_THE_FUTURE: None})
    deadline = time.monotonic() + cluster.patience
    while brought_into(cluster, list(Topic)):  # brokers hear of it one after the other
        if time.monotonic() > deadline:
            raise cluster.health.unreachable("topics are not yet as they were set")
        time.sleep(SLICE)


def brought_into(cluster: Cluster, topics: Collection[Topic]) -> set[Topic]:
    """Those of these topics that were made for records to be brought into, which is not over. Raises LogError."""
    described = cluster.describe(cluster.settings.name(topic) for topic in topics)
    configured = cluster.topic_configs(described) if described else {}
    return {topic for topic in topics if _is_brought(configured.get(cluster.settings.name(topic), {}))}


def _is_brought(configured: Mapping[str, str]) -> bool:
    return configured.get(_FROM_THE_FUTURE) == _BROUGHT[_FROM_THE_FUTURE]


def check_count(topic: Topic, present: Described | None, count: int) -> None:
    """Raise LogMismatch if the topic is there with another number of partitions."""
    if present and present.partitions != count:
        raise LogMismatch(f"topic {topic} has {present.partitions} partitions, not {count}: they never change")


def check_broker(cluster: Cluster) -> None:
    """Raise LogError for a broker older than Kafka 4; asked once."""
    if cluster.is_supported:
        return
    for broker, configured in cluster.broker_configs(cluster.brokers()[:1]).items():
        if _OLD in configured:
            raise LogError(
                f"broker {broker} of Kafka at {cluster.settings.servers} is {configured[_OLD]}, which is not supported:"
                " Kafka 4.0 or later is needed; upgrade it"
            )
    cluster.is_supported = True


class Survey(NamedTuple):
    """A topic as it was found: 0 partitions where it is missing; what is wrong with it, a line for each thing."""

    partitions: int
    replicas: int
    problems: tuple[str, ...]


def survey(cluster: Cluster) -> dict[str, Survey]:
    """All topics as they are, the one of notes too. Raises LogError for brokers that can't be asked or are too old."""
    check_broker(cluster)
    named = {topic: cluster.settings.name(topic) for topic in (*Topic, NOTES)}
    found = cluster.describe(named.values())
    surveyed: dict[str, Survey] = {}
    for topic, name in named.items():
        if name in found:
            wrong = tuple(problems(cluster, {topic: found[name]}))
            surveyed[topic] = Survey(found[name].partitions, found[name].replicas, wrong)
        else:
            surveyed[topic] = Survey(0, 0, (f"topic {name} is missing: make it with `crunch-reuse topics create`",))
    return surveyed


def check_settings(cluster: Cluster, described: Mapping[str, Described]) -> None:
    """Raise LogMismatch for a topic that is configured so that it could lose, reorder or refuse records."""
    for problem in problems(cluster, described):
        raise LogMismatch(problem)


def problems(cluster: Cluster, described: Mapping[str, Described]) -> Iterator[str]:
    """What is wrong with the configuration of these topics: a line for each thing."""
    names = {cluster.settings.name(topic): found for topic, found in described.items()}
    asked = {cluster.settings.name(topic): _wanted(topic) for topic in described}
    for name, configured in cluster.topic_configs(names).items():
        if _is_brought(configured):
            yield f"topic {name}: a restore into it was interrupted: do it again, or remove the topics"
            continue
        for option, value in asked[name].items():
            if configured.get(option) != value:
                yield f"topic {name} has {option}={configured.get(option)}: set it to {value}"
        largest = int(configured["max.message.bytes"])
        if largest < LARGEST_BATCH:
            yield f"topic {name} has max.message.bytes={largest}: set it to {LARGEST_BATCH} or more"
        replicas, in_sync = names[name].replicas, int(configured["min.insync.replicas"])
        least = majority(replicas)
        if not least <= in_sync <= replicas:
            yield f"topic {name} has min.insync.replicas={in_sync} with {replicas} replicas: set it to {least}"


def _wanted(topic: str) -> dict[str, str]:
    if topic != NOTES:
        return _KEPT
    return {option: value for option, value in _NOTED.items() if option not in _AS_THEY_ARE_MADE}


def majority(replicas: int) -> int:
    """How many replicas have to have a record before it counts: so that no later leader can be without it."""
    return replicas // 2 + 1


def _config(config: Mapping[str, str], replicas: int) -> dict[str, str]:
    return {**config, "min.insync.replicas": str(majority(replicas)), "max.message.bytes": str(LARGEST_REFUSED)}
