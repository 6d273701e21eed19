"""How Kafka is reached, what its clients are told, and its errors in our words."""

import logging
import shlex
from collections.abc import Mapping
from typing import Any

import msgspec
from confluent_kafka import KafkaError, KafkaException

from schemas.fields import KIB, MAX_RECORD_BYTES
from schemas.topics import Topic
from streams.log import LogError, LogMismatch, LogUnreachable

LOGGER = logging.getLogger("streams.kafka")
MAKE = "crunch-reuse topics create makes it"
NOTES = "notes"  # the topic beside the log's own: floors, and what a trim would lose
LARGEST_BATCH = MAX_RECORD_BYTES + 64 * KIB  # bytes: one record of the largest size with its key, alone in its batch

STATISTICS = 5_000  # ms between two

# Names of librdkafka's own errors begin with an underscore, those of the broker's do not.
GONE = frozenset(
    [
        *("_ALL_BROKERS_DOWN", "_MSG_TIMED_OUT", "_TIMED_OUT", "_TIMED_OUT_QUEUE", "_TRANSPORT", "_RESOLVE"),
        *("_PURGE_INFLIGHT", "_PURGE_QUEUE", "_WAIT_COORD", "_WAIT_CACHE", "REQUEST_TIMED_OUT", "KAFKA_STORAGE_ERROR"),
        *("BROKER_NOT_AVAILABLE", "LEADER_NOT_AVAILABLE", "NETWORK_EXCEPTION", "NOT_CONTROLLER"),
        *("FENCED_LEADER_EPOCH", "UNKNOWN_LEADER_EPOCH", "OFFSET_NOT_AVAILABLE"),  # just after a broker's start
        *("NOT_LEADER_FOR_PARTITION", "NOT_ENOUGH_REPLICAS", "NOT_ENOUGH_REPLICAS_AFTER_APPEND"),
    ]
)
MISSING = frozenset({"_UNKNOWN_PARTITION", "_UNKNOWN_TOPIC", "UNKNOWN_TOPIC_OR_PART", "UNKNOWN_TOPIC_ID"})
REFUSED = frozenset({"_AUTHENTICATION", "SASL_AUTHENTICATION_FAILED", "_SSL"})

# What is no option: by another value records could be lost, skipped, or waited for in vain. "": we name it.
FIXED = {
    **dict.fromkeys(("acks", "request.required.acks"), "all"),
    **dict.fromkeys(("enable.idempotence", "enable.gapless.guarantee", "enable.partition.eof", "check.crcs"), "true"),
    **dict.fromkeys(("message.timeout.ms", "delivery.timeout.ms"), "0"),
    **dict.fromkeys(("enable.auto.commit", "enable.auto.offset.store", "allow.auto.create.topics"), "false"),
    **dict.fromkeys(("group.id", "transactional.id"), ""),
    "auto.offset.reset": "error",
    "isolation.level": "read_uncommitted",
}


class KafkaSettings(msgspec.Struct, frozen=True, kw_only=True):
    """A log in Kafka.

    `servers`: bootstrap servers, `host:port` with commas between. `prefix`: before each topic's name, so that several
    logs have room in one cluster. `replication`: copies of each record in topics that are made; 0: three, or as many as
    there are brokers. `options`: any option of librdkafka but FIXED, by its name there; TLS and SASL are such.
    `patience`: for how many seconds brokers that went away may do so before it is an error.
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
        return next((topic for topic in Topic if name == self.name(topic)), None)

    def client(self, ours: Mapping[str, Any]) -> dict[str, Any]:
        """A client's configuration: what all have, what this one has (`ours`), and above both the options."""
        common = {
            "bootstrap.servers": self.servers,
            "client.id": "crunch-reuse",
            "socket.keepalive.enable": True,
            "topic.metadata.refresh.interval.ms": 30_000,
            "reconnect.backoff.ms": 20,
            "reconnect.backoff.max.ms": 1_000,
            "logger": LOGGER,
            "log_level": 0,  # what matters comes to `error_cb`
        }
        return {**common, **ours, **self.options}


def parse_options(text: str) -> dict[str, str]:
    """Options written `name=value`, with spaces between, quoted as in a shell. Raises ValueError: which is wrong."""
    options = {}
    for word in shlex.split(text):
        name, equals, value = word.partition("=")
        if not (name and equals):
            raise ValueError(f"{word!r} is not of the form name=value")
        if name not in FIXED:
            options[name] = value
        elif value != FIXED[name]:
            raise ValueError(f"{name} is {FIXED[name] or 'ours'}, or records could be lost or skipped: leave it out")
    return options


def plain(error: KafkaError) -> str:
    """What the client says, on one line, without which of its threads and states it was in."""
    said = " ".join(error.str().split()).split(" (after ")[0]
    return said.split("/bootstrap: ", 1)[-1]


def translated(error: KafkaException | KafkaError, servers: str) -> LogError:
    """Our error for Kafka's: LogUnreachable where trying again may help, else what is wrong, in one line."""
    cause = error.args[0] if isinstance(error, KafkaException) else error
    code, said = cause.name(), plain(cause)
    if code in REFUSED:
        return LogError(f"Kafka at {servers} refuses these credentials, or can't speak to us so: {said}")
    if code in GONE:
        return LogUnreachable(f"can't reach Kafka at {servers}: {said}")
    if code in MISSING:
        return LogMismatch(f"Kafka at {servers} has no such topic or partition: {said}; {MAKE}")
    return LogError(f"Kafka at {servers} refuses: {said}")
