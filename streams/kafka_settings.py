"""How Kafka is reached, what its clients are told, and its errors in our words: the one place where they become ours."""

import logging
import shlex
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException

from schemas.fields import KIB, MAX_RECORD_BYTES
from schemas.topics import Topic
from streams.log import LogError, LogMismatch, LogUnreachable

LOGGER = logging.getLogger("streams.kafka")
NOTES = "notes"  # the topic beside the log's own: floors, and what a trim would lose
LARGEST_BATCH = MAX_RECORD_BYTES + 64 * KIB  # bytes: one record of the largest size with its key, alone in its batch

_GONE = frozenset(
    {
        KafkaError._ALL_BROKERS_DOWN,
        KafkaError._MSG_TIMED_OUT,
        KafkaError._TIMED_OUT,
        KafkaError._TIMED_OUT_QUEUE,
        KafkaError._TRANSPORT,
        KafkaError._RESOLVE,
        KafkaError._PURGE_INFLIGHT,
        KafkaError._PURGE_QUEUE,
        KafkaError._WAIT_COORD,
        KafkaError.BROKER_NOT_AVAILABLE,
        KafkaError.COORDINATOR_LOAD_IN_PROGRESS,
        KafkaError.LEADER_NOT_AVAILABLE,
        KafkaError.NETWORK_EXCEPTION,
        KafkaError.NOT_ENOUGH_REPLICAS,
        KafkaError.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
        KafkaError.NOT_LEADER_FOR_PARTITION,
        KafkaError.REQUEST_TIMED_OUT,
    }
)
_MISSING = frozenset({KafkaError._UNKNOWN_PARTITION, KafkaError._UNKNOWN_TOPIC, KafkaError.UNKNOWN_TOPIC_OR_PART})
_REFUSED = frozenset({KafkaError._AUTHENTICATION, KafkaError.SASL_AUTHENTICATION_FAILED, KafkaError._SSL})


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A log in Kafka.

    `servers`: bootstrap servers, `host:port` with commas between. `prefix`: before each topic's name, so that several
    logs have room in one cluster. `replication`: copies of each record in topics that are made; 0: three, or as many as
    there are brokers. `options`: any option of librdkafka, by its name there; TLS and SASL are such. `patience`: seconds
    in which brokers that went away may come back before their absence is an error.
    """

    servers: str
    prefix: str = "crunch-reuse."
    replication: int = 0
    options: dict[str, str] = {}
    patience: float = 15.0

    def name(self, topic: Topic | str) -> str:
        """The topic's name in Kafka."""
        return f"{self.prefix}{topic}"

    def topic(self, name: str) -> Topic | None:
        """The topic that has this name in Kafka; None for one that is not ours."""
        word = name.removeprefix(self.prefix)
        return Topic(word) if word in Topic and name == self.name(word) else None

    def client(self, **more: Any) -> dict[str, Any]:
        """A client's configuration: `more` is ours, with underscores for dots; options stand above it."""
        ours = {
            "bootstrap.servers": self.servers,
            "client.id": "crunch-reuse",
            "socket.keepalive.enable": True,
            "topic.metadata.refresh.interval.ms": 30_000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 1_000,
            "logger": LOGGER,
            **{name.replace("_", "."): value for name, value in more.items()},
        }
        return ours | self.options


def parse_options(text: str) -> dict[str, str]:
    """Options written `name=value`, with spaces between, quoted as in a shell. Raises ValueError that says which is wrong."""
    options = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ValueError(f"{word!r} is not of the form name=value")
        options[name] = value
    return options


def translated(error: KafkaException | KafkaError, servers: str) -> LogError:
    """Our error for Kafka's: LogUnreachable where trying again may help, else what is wrong, in one line."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    code, said = cause.code(), " ".join(cause.str().split())
    if code in _REFUSED:
        return LogError(f"Kafka at {servers} refuses these credentials, or can't speak to us so: {said}")
    if code in _GONE:
        return LogUnreachable(f"can't reach Kafka at {servers}: {said}")
    if code in _MISSING:
        return LogMismatch(f"Kafka at {servers} has no such topic or partition: {said}; create the topics first")
    return LogError(f"Kafka at {servers} refuses: {said}")
