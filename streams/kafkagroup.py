"""A consumer group of Kafka's, used for membership only: who looks after which partition.

The group's consumer reads nothing (its partitions are paused) and commits nothing: reading is by hand, and floors are
the log's. A member that is silent for SESSION_MS is out, and its partitions go to the others; one that leaves in order
hands them over at once. All of it works with a broker's default settings.
"""

import threading
from collections.abc import Iterable

from confluent_kafka import OFFSET_END, Consumer, KafkaException, Message, TopicPartition

from schemas.topics import Topic
from streams.kafka_settings import KafkaSettings, translated
from streams.log import LogUnreachable, Place
from streams.membership import Changed

POLL_SECONDS = 0.5
SESSION_MS = 10_000  # the shortest that brokers allow by default is 6 s
HEARTBEAT_MS = 2_000


class KafkaGroup:
    """The group `group` of those who share the partitions of `topics`. See `Membership`."""

    def __init__(self, settings: KafkaSettings, group: str, topics: Iterable[Topic]) -> None:
        self._settings = settings
        self._group = settings.name(group)
        self._names = [settings.name(topic) for topic in topics]
        self._stopping = threading.Event()
        self._held: frozenset[Place] = frozenset()

    def run(self, changed: Changed) -> None:
        """Take part until `stop`. Raises LogError; brokers that went away are waited for."""

        def given(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            consumer.incremental_assign([TopicPartition(one.topic, one.partition, OFFSET_END) for one in partitions])
            consumer.pause(partitions)
            self._hold(self._held | self._places(partitions), changed)

        def taken(consumer: Consumer, partitions: list[TopicPartition]) -> None:
            self._hold(self._held - self._places(partitions), changed)
            consumer.incremental_unassign(partitions)

        consumer = self._consumer()
        try:
            consumer.subscribe(self._names, on_assign=given, on_revoke=taken, on_lost=taken)
            while not self._stopping.is_set():
                self._check(consumer.poll(POLL_SECONDS))
        except KafkaException as error:
            raise translated(error, self._settings.servers) from error
        finally:
            consumer.close()
            self._hold(frozenset(), changed)

    def stop(self) -> None:
        """Let `run` return; from any thread."""
        self._stopping.set()

    def _consumer(self) -> Consumer:
        ours = {
            "group.id": self._group,
            "partition.assignment.strategy": "cooperative-sticky",
            "session.timeout.ms": SESSION_MS,
            "heartbeat.interval.ms": HEARTBEAT_MS,
            "enable.auto.commit": False,
        }
        return Consumer(self._settings.client(ours))

    def _hold(self, places: frozenset[Place], changed: Changed) -> None:
        if places != self._held or not places:
            self._held = places
            changed(places)

    def _places(self, partitions: Iterable[TopicPartition]) -> frozenset[Place]:
        named = ((self._settings.topic(one.topic), one.partition) for one in partitions)
        return frozenset(Place(topic, number) for topic, number in named if topic is not None)

    def _check(self, message: Message | None) -> None:
        """The consumer reads nothing: what it is handed is an error, and librdkafka tries again by itself."""
        failed = message.error() if message is not None else None
        if failed is not None:
            error = translated(failed, self._settings.servers)
            if failed.fatal() or not isinstance(error, LogUnreachable):
                raise error
