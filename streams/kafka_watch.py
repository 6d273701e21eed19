"""Notices while a process runs that a topic is not the one that it was: made anew, deleted, or with partitions added.

A record says nothing of it, and the client goes on with the new topic as if nothing had happened. So the cluster is
asked again and again, without anybody waiting for the answer. Within `LOOK` seconds and the way to the brokers, whoever
uses the log is stopped.
"""

import math
import threading
import time
from collections.abc import Mapping
from concurrent.futures import Future, wait
from typing import Any

from confluent_kafka import KafkaError, KafkaException

from streams.kafka_cluster import Cluster, Described
from streams.log import LogMismatch

REMEDY = "restore the log from a backup, or start over with a new one"
LOOK = 1.0  # seconds between two questions
GRACE = 1.0  # seconds to wait for what was asked last


class Watch:
    """Of `topics`, as far as they are known by now; for all instances of one log in a process, from any thread."""

    def __init__(self, cluster: Cluster, topics: Mapping[str, Described]) -> None:
        self._cluster = cluster
        self._topics = topics
        self._lock = threading.Lock()
        self._due = 0.0
        self._asked: dict[str, Future[Any]] = {}
        self._gone: set[str] = set()
        self._found = ""

    def look(self) -> None:
        """Raise LogMismatch, from now on always, if a topic is not what it was. Costs nothing most times."""
        if self._found:
            raise LogMismatch(self._found)
        if time.monotonic() >= self._due and self._lock.acquire(blocking=False):
            try:
                self._go_on()
            finally:
                self._lock.release()
            if self._found:
                raise LogMismatch(self._found)

    def condemn(self, found: str) -> None:
        """Raise LogMismatch, from now on always."""
        self._found = found
        raise LogMismatch(found)

    def verify(self) -> None:
        """Ask now: raise LogMismatch if a topic is not what it was. For who has found something that can't be."""
        topics = dict(self._topics)
        names = {topic: self._cluster.settings.name(topic) for topic in topics}
        present = self._cluster.describe(names.values())
        for topic, known in topics.items():
            found = present.get(names[topic])
            difference = _difference(topic, known, found.id, found.partitions) if found else _deleted(topic)
            if difference:
                self.condemn(difference)

    @property
    def is_asking(self) -> bool:
        """Whether a question is open."""
        return not all(future.done() for future in self._asked.values())

    def close(self) -> None:
        """Ask no more. An answer that meets the client while it is taken down aborts the process (librdkafka 2.16)."""
        with self._lock:
            self._due = math.inf
        wait(self._asked.values(), GRACE)

    def _go_on(self) -> None:
        if not self.is_asking:
            for topic, future in self._asked.items():
                if not self._found:
                    self._compare(topic, future)
            names = {topic: self._cluster.settings.name(topic) for topic in dict(self._topics)}
            asked = self._cluster.describing(names.values()) if names else {}
            self._asked = {topic: asked[name] for topic, name in names.items()}
            self._due = time.monotonic() + LOOK

    def _compare(self, topic: str, future: "Future[Any]") -> None:
        known = self._topics[topic]
        try:
            present = future.result()
        except KafkaException as error:
            is_gone = error.args[0].code() == KafkaError.UNKNOWN_TOPIC_OR_PART
            if is_gone and topic in self._gone:  # twice: a broker that has just started may not know yet
                self._found = _deleted(topic)
            self._gone = self._gone | {topic} if is_gone else self._gone - {topic}
            return
        self._gone -= {topic}
        self._found = _difference(topic, known, str(present.topic_id), len(present.partitions))


def _deleted(topic: str) -> str:
    return f"topic {topic} was deleted: {REMEDY}"


def _difference(topic: str, known: Described, topic_id: str, partitions: int) -> str:
    """What is different about a topic, and what to do; nothing: empty."""
    if topic_id != known.id:
        return f"topic {topic} was made anew: {REMEDY}"
    if partitions != known.partitions:
        return f"topic {topic} has {partitions} partitions now and had {known.partitions}, which never change: {REMEDY}"
    return ""
