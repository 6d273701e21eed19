"""What tests against a real Kafka share: logs that are closed in the end, foreign producers, topics made by others."""

import threading
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewPartitions, NewTopic

from schemas.topics import Topic
from streams.admin import EMBEDDED
from streams.broker import LocalBroker
from streams.kafka import KafkaLog
from streams.kafka_cluster import Cluster
from streams.kafka_settings import KafkaSettings
from streams.log import Place
from tests.support.logs import kafka_settings

SOON = 20.0  # seconds in which what is due must have come
HASTY = {"socket.timeout.ms": "1000", "request.timeout.ms": "1000", "socket.connection.setup.timeout.ms": "1000"}
"""Every time limit of the client's own as short as it may be."""

NewLog = Callable[..., KafkaLog]


@pytest.fixture
def new_log(kafka_broker: LocalBroker) -> Iterator[NewLog]:
    """Opens logs with topics made, which the test need not close. `settings`: of an earlier one, to open that again."""
    opened: list[KafkaLog] = []

    def make(settings: KafkaSettings | None = None, counts: dict[Topic, int] | None = None, **more: Any) -> KafkaLog:
        log = KafkaLog(settings or kafka_settings(kafka_broker, **more))
        opened.append(log)
        log.create(counts or EMBEDDED)
        return log

    yield make
    for log in opened:
        log.close()


class Operator:
    """Somebody with a Kafka client of their own, who can do to the topics of a log what the log never does."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.admin = AdminClient({"bootstrap.servers": settings.servers, "log_level": 0})

    def delete(self, topic: str) -> None:
        self._done(self.admin.delete_topics([self.settings.name(topic)]))

    def make(self, topic: str, partitions: int, config: Mapping[str, str]) -> None:
        self._done(self.admin.create_topics([NewTopic(self.settings.name(topic), partitions, 1, config=dict(config))]))

    def add_partitions(self, topic: str, total: int) -> None:
        self._done(self.admin.create_partitions([NewPartitions(self.settings.name(topic), total)]))

    def configure(self, topic: str, option: str, value: str) -> None:
        entry = ConfigEntry(option, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource("topic", self.settings.name(topic), incremental_configs=[entry])
        self._done(self.admin.incremental_alter_configs([resource]))

    def configured(self, topic: str) -> dict[str, str]:
        return Cluster(self.settings).topic_configs([self.settings.name(topic)])[self.settings.name(topic)]

    def delete_records(self, place: Place, before: int) -> None:
        partition = TopicPartition(self.settings.name(place.topic), place.partition, before)
        self._done(self.admin.delete_records([partition]))

    def producer(self, **options: Any) -> Producer:
        dotted = {name.replace("_", "."): value for name, value in options.items()}
        return Producer(
            {"bootstrap.servers": self.settings.servers, "message.max.bytes": 10_000_000, "log_level": 0, **dotted}
        )

    def produce(self, place: Place, *values: bytes | None, key: bytes | None = b"k", **more: Any) -> None:
        """Append values as they are, each acknowledged."""
        producer = self.producer()
        errors: list[Any] = []
        for value in values:
            producer.produce(
                self.settings.name(place.topic),
                value,
                key,
                place.partition,
                on_delivery=lambda error, _: errors.append(error),
                **more,
            )
        assert producer.flush(SOON) == 0
        assert errors == [None] * len(values)

    def produce_in_transaction(self, place: Place, *values: bytes, commit: bool) -> None:
        producer = self.producer(transactional_id=f"{self.settings.prefix}{place}{commit}")
        producer.init_transactions(SOON)
        producer.begin_transaction()
        for value in values:
            producer.produce(self.settings.name(place.topic), value, b"k", place.partition)
        producer.flush(SOON)
        if commit:
            producer.commit_transaction(SOON)
        else:
            producer.abort_transaction(SOON)

    @staticmethod
    def _done(futures: Mapping[Any, Any]) -> None:
        for future in futures.values():
            future.result(SOON)


def operator_of(log: KafkaLog) -> Operator:
    return Operator(log.settings)


def later(seconds: float, action: Callable[[], object]) -> threading.Timer:
    """Let something happen beside the test, after a time that is itself what is tried."""
    timer = threading.Timer(seconds, action)
    timer.start()
    return timer
