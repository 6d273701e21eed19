"""Plain topics on the broker: filled with commands, read for what was answered, timed by the broker's own clock."""

import time
from collections.abc import Iterator, Sequence
from typing import NamedTuple
from uuid import uuid4

from confluent_kafka import Consumer, KafkaException, Message, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from confluent_kafka.cimpl import NewTopic

from bench.common.processes import BenchFailed
from bench.contenders.story import Command
from schemas.partition import partition_of

SECONDS = 60.0  # in which the broker, or who answers, says something
QUIET_SECONDS = 1.5
WARM = 0.2  # share of the answers that is not timed: until then everything warms up
QUIET = {"log_level": 3}  # errors only: a fresh broker makes its clients try again
PRODUCER = {
    "acks": "all",
    "enable.idempotence": True,
    "linger.ms": 5,
    "queue.buffering.max.messages": 1_000_000,
    **QUIET,
}


class Broker(NamedTuple):
    """Where the broker listens."""

    servers: str

    def create(self, name: str, partitions: int) -> str:
        """A topic that is durable as ours are, with the broker's times; its name, new for each."""
        topic = f"{name}-{uuid4().hex[:8]}"
        settings = {"message.timestamp.type": "LogAppendTime", "min.insync.replicas": "1"}
        new = NewTopic(topic, num_partitions=partitions, replication_factor=1, config=settings)
        admin = AdminClient({"bootstrap.servers": self.servers})  # its futures end with it
        for future in admin.create_topics([new]).values():
            future.result(SECONDS)
        return topic

    def fill(self, topic: str, partitions: Sequence[Sequence[Command]]) -> float:
        """Produce all commands, acknowledged; records a second."""
        producer = Producer({"bootstrap.servers": self.servers, **PRODUCER})
        begin = time.perf_counter()
        for number, commands in enumerate(partitions):
            for key, value in commands:
                producer.produce(topic, value, key.encode(), partition=number)
            producer.poll(0)
        if left := producer.flush(SECONDS):
            raise BenchFailed(f"{left} commands were not acknowledged")
        return sum(map(len, partitions)) / (time.perf_counter() - begin)

    def times(self, topic: str, partitions: int, number: int, about: bytes = b"") -> list[float]:
        """When each of `number` committed records that contain `about` was appended, seconds, in order.

        They may still be on their way: nobody reads them before it is quiet, so that no reader takes the processor
        from who writes. Raises BenchFailed where one does not come.
        """
        self._await_quiet(topic, partitions)
        return sorted(message.timestamp()[1] / 1000 for message in self._read(topic, partitions, number, about))

    def drain(self, topic: str, partitions: int, number: int) -> float:
        """Read so many records; records a second."""
        reading = self._read(topic, partitions, number, b"")
        next(reading)
        begin = time.perf_counter()
        for _ in reading:
            pass
        return (number - 1) / (time.perf_counter() - begin)

    def follower(self, topic: str, partitions: int) -> Consumer:
        """Reads what will be committed from now on."""
        consumer = self._consumer(topic, {})
        places = [TopicPartition(topic, number) for number in range(partitions)]
        for place in places:
            place.offset = _end(consumer, place)
        consumer.assign(places)
        return consumer

    def _await_quiet(self, topic: str, partitions: int) -> None:
        """Return when something has been appended, and nothing more for a while."""
        consumer = self._consumer(topic, {})
        places = [TopicPartition(topic, number) for number in range(partitions)]
        last, since, deadline = 0, time.monotonic(), time.monotonic() + SECONDS
        while not last or time.monotonic() - since < QUIET_SECONDS:
            end = sum(_end(consumer, place) for place in places)
            if end != last:
                last, since = end, time.monotonic()
            elif not last and time.monotonic() > deadline:
                break
            time.sleep(0.1)
        consumer.close()

    def _consumer(self, topic: str, offsets: dict[int, int]) -> Consumer:
        consumer = Consumer(
            {
                "bootstrap.servers": self.servers,
                "group.id": "bench-reader",
                "enable.auto.commit": False,
                "isolation.level": "read_committed",
                **QUIET,
            }
        )
        consumer.assign([TopicPartition(topic, number, offset) for number, offset in offsets.items()])
        return consumer

    def _read(self, topic: str, partitions: int, number: int, about: bytes) -> Iterator[Message]:
        consumer = self._consumer(topic, dict.fromkeys(range(partitions), 0))
        heard = time.monotonic()
        try:
            while number > 0:
                for message in consumer.consume(10_000, 1.0):
                    if about in value_of(message):
                        number, heard = number - 1, time.monotonic()
                        yield message
                if time.monotonic() - heard > SECONDS:
                    raise BenchFailed(f"{number} answers did not come to {topic}")
        finally:
            consumer.close()


def _end(consumer: Consumer, place: TopicPartition) -> int:
    """Where a partition ends, also where it was made a moment ago and nobody leads it yet."""
    deadline = time.monotonic() + SECONDS
    while True:
        try:
            end: int = consumer.get_watermark_offsets(place, SECONDS)[1]
            return end
        except KafkaException as error:
            if time.monotonic() > deadline:
                raise BenchFailed(f"{place.topic} can't be read: {error}") from error
            time.sleep(0.05)


def value_of(message: Message) -> bytes:
    """The message's value. Raises BenchFailed for what the client delivers as an error."""
    if error := message.error():
        raise BenchFailed(f"the broker said: {error.str()}")
    return message.value() or b""


def closed_loop(broker: Broker, commands: str, answers: str, partitions: int, asked: Sequence[Command]) -> list[float]:
    """Seconds from each command to its answer, one at a time; an answer contains the command's key."""
    producer = Producer({"bootstrap.servers": broker.servers, **PRODUCER, "linger.ms": 0})
    follower = broker.follower(answers, partitions)
    took = []
    try:
        for key, value in asked:
            begin = time.perf_counter()
            producer.produce(commands, value, key.encode(), partition=partition_of(key, partitions))
            _await(follower, key.encode())
            took.append(time.perf_counter() - begin)
    finally:
        producer.flush(SECONDS)
        follower.close()
    return took


def _await(follower: Consumer, about: bytes) -> None:
    deadline = time.monotonic() + SECONDS
    while time.monotonic() < deadline:
        message = follower.poll(1.0)
        if message is not None and about in value_of(message):
            return
    raise BenchFailed(f"no answer about {about.decode()} came within {SECONDS:.0f} s")


def rate(times: Sequence[float]) -> float:
    """Answers a second, by the broker's clock, the first ones left out."""
    timed = times[int(len(times) * WARM) :]
    return (len(timed) - 1) / max(timed[-1] - timed[0], 0.001)
