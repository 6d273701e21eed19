"""What a Kafka cluster says of itself and of our topics: for all instances of one log in a process, from any thread."""

import threading
import time
from collections.abc import Iterable, Mapping
from concurrent.futures import Future
from concurrent.futures import TimeoutError as NotYet
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException, TopicCollection, TopicPartition
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, NewTopic, OffsetSpec

from streams.kafka_settings import LOGGER, REFUSED, KafkaSettings, plain, translated
from streams.log import LogError, LogUnreachable

FIRST_CONTACT = 5.0  # seconds: who names a wrong server should hear of it before long
SLICE = 0.1  # seconds in one wait, at most

T = TypeVar("T")


class Described(NamedTuple):
    """A topic as the cluster has it: its identity, which a topic made anew does not share, and its partitions."""

    id: str
    partitions: int
    replicas: int  # of the partition with the fewest


class Health:
    """The last thing that went wrong between us and the brokers: only that says why a question has no answer."""

    def __init__(self, servers: str) -> None:
        self._servers = servers
        self._said = ""
        self.last: KafkaError | None = None
        self.errors = 0

    def hear(self, error: KafkaError) -> None:
        """For a client's `error_cb`."""
        self.errors += 1
        if error.name() == "_ALL_BROKERS_DOWN" and self.last is not None:
            return  # why they are is the better thing to know
        self.last = error
        said = plain(error)
        if said != self._said:
            self._said = said
            LOGGER.info("Kafka at %s: %s", self._servers, said)

    def refusal(self) -> LogError | None:
        """What is wrong with our credentials, if that is what is wrong."""
        return translated(self.last, self._servers) if self.last and self.last.name() in REFUSED else None

    def unreachable(self, otherwise: str) -> LogError:
        """Why nobody answers."""
        why = translated(self.last, self._servers) if self.last else None
        return why or LogUnreachable(f"can't reach Kafka at {self._servers}: {otherwise}")


class Cluster:
    """Questions to the brokers that `settings` name. Each raises LogUnreachable, or LogError for what they refuse."""

    def __init__(self, settings: KafkaSettings) -> None:
        self.settings = settings
        self.health = Health(settings.servers)
        self.answered = False
        self.is_supported = False  # as far as anybody has looked
        self._lock = threading.Lock()
        self._admin: AdminClient | None = None

    @property
    def patience(self) -> float:
        """Seconds to wait for an answer: less as long as there never was any."""
        patience = self.settings.patience
        return patience if self.answered else min(patience, FIRST_CONTACT)

    def admin(self) -> AdminClient:
        """The client that asks; made at the first question."""
        with self._lock:
            if self._admin is None:
                self._admin = self.made(AdminClient, {"error_cb": self.health.hear})
            return self._admin

    def made(self, kind: type[T], ours: Mapping[str, Any]) -> T:
        """A client of this kind. Raises LogError for options that it does not take."""
        try:
            return kind(self.settings.client(ours))  # type: ignore[call-arg]
        except KafkaException as error:
            raise LogError(f"Kafka's client refuses these options: {error.args[0].str()}") from error

    def describe(self, names: Iterable[str]) -> dict[str, Described]:
        """The topics with these names in Kafka; those that are not there are left out."""
        wanted = list(names)
        asked = self._ask(lambda admin: admin.describe_topics(TopicCollection(wanted), request_timeout=self.patience))
        found = {}
        for name in wanted:
            try:
                topic = self._result(asked[name])
            except KafkaException as error:
                if error.args[0].code() != KafkaError.UNKNOWN_TOPIC_OR_PART:
                    raise translated(error, self.settings.servers) from error
            else:
                replicas = min(len(partition.replicas) for partition in topic.partitions)
                found[name] = Described(str(topic.topic_id), len(topic.partitions), replicas)
        return found

    def describing(self, names: Iterable[str]) -> "dict[str, Future[Any]]":
        """The same question, its answers still to come."""
        return self.admin().describe_topics(TopicCollection(list(names)), request_timeout=self.patience)

    def topic_configs(self, names: Iterable[str]) -> dict[str, dict[str, str]]:
        """What is configured for topics, by name."""
        return self._configs([ConfigResource("topic", name) for name in names])

    def broker_configs(self, brokers: Iterable[str]) -> dict[str, dict[str, str]]:
        """What is configured for brokers, by id."""
        return self._configs([ConfigResource("broker", broker) for broker in brokers])

    def configure(self, name: str, options: Mapping[str, str | None]) -> None:
        """Set options of a topic; None: as the broker has it."""
        entries = [
            ConfigEntry(
                option,
                value,
                incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
            )
            for option, value in options.items()
        ]
        resource = ConfigResource("topic", name, incremental_configs=entries)
        asked = self._ask(lambda admin: admin.incremental_alter_configs([resource], request_timeout=self.patience))
        self._translated(asked[resource])

    def _configs(self, resources: list[ConfigResource]) -> dict[str, dict[str, str]]:
        asked = self._ask(lambda admin: admin.describe_configs(resources, request_timeout=self.patience))
        return {
            resource.name: {entry.name: entry.value or "" for entry in self._translated(asked[resource]).values()}
            for resource in resources
        }

    def brokers(self) -> list[str]:
        """Ids of the brokers that there are."""
        nodes = self._translated(self._ask(lambda admin: admin.describe_cluster(request_timeout=self.patience))).nodes
        return sorted(str(node.id) for node in nodes)

    def create(self, topics: Iterable[NewTopic]) -> set[str]:
        """Make topics; the names of those that were not there before. Raises LogError."""
        made = set()
        for name, future in self._ask(lambda admin: admin.create_topics(list(topics))).items():
            try:
                self._result(future)
                made.add(name)
            except KafkaException as error:
                if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                    raise translated(error, self.settings.servers) from error
        return made

    def bounds(self, places: Iterable[TopicPartition]) -> dict[TopicPartition, tuple[int, int]]:
        """The lowest offset of each partition, and the one that its next record gets."""
        wanted = list(places)
        deadline = time.monotonic() + self.patience
        while True:
            first, last = (
                self._ask(lambda admin, spec=spec: admin.list_offsets(dict.fromkeys(wanted, spec)))
                for spec in (OffsetSpec.earliest(), OffsetSpec.latest())
            )
            try:
                return {one: (self._offset(first[one], one), self._offset(last[one], one)) for one in wanted}
            except LogUnreachable:  # a leader is being chosen, or there are no brokers at all
                if time.monotonic() > deadline:
                    raise
                self._refresh()

    def _offset(self, asked: "Future[Any]", place: TopicPartition) -> int:
        """The offset asked for. A broker that has just started answers with a negative one."""
        offset: int = self._translated(asked).offset
        if offset < 0:
            raise LogUnreachable(f"Kafka at {self.settings.servers} can't say yet how far {place.topic} goes")
        return offset

    def _refresh(self) -> None:
        """Let the client look anew who leads what: it asks those again whom it knows, also when they say no."""
        time.sleep(SLICE)
        try:
            self.admin().list_topics(timeout=1.0)
        except KafkaException as error:
            self.health.hear(error.args[0])

    def delete(self, before: Mapping[str, tuple[int, int]]) -> None:
        """Delete records: by topic its partition, and the first offset that stays."""
        wanted = [TopicPartition(name, partition, offset) for name, (partition, offset) in before.items()]
        for future in self._ask(lambda admin: admin.delete_records(wanted)).values():
            self._translated(future)

    def _ask(self, question: Any) -> Any:
        try:
            return question(self.admin())
        except KafkaException as error:
            raise translated(error, self.settings.servers) from error

    def _translated(self, future: "Future[T]") -> T:
        try:
            return self._result(future)
        except KafkaException as error:
            raise translated(error, self.settings.servers) from error

    def _result(self, future: "Future[T]") -> T:
        """The answer. Raises KafkaException where a broker refuses, LogError where none answers."""
        deadline = time.monotonic() + self.patience
        while True:
            try:
                answer = future.result(SLICE)
            except NotYet:
                self._look(deadline)
            except KafkaException as error:
                if error.args[0].name().startswith("_"):  # of the client, not of a broker
                    raise self.health.unreachable(error.args[0].str()) from error
                raise
            else:
                self.answered = True
                return answer

    def _look(self, deadline: float) -> None:
        self.admin().poll(0)
        refusal = self.health.refusal()
        if refusal and not self.answered:
            raise refusal
        if time.monotonic() > deadline:
            raise self.health.unreachable("nobody answers")
