"""Our coordinator on Kafka: one process or two, with its rules; and the limit, the same loop without them."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from multiprocessing.synchronize import Event
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, ClassVar, Self
from uuid import uuid4

from bench.common.logs import kafka_log
from bench.common.processes import Start, coordinate, in_memory, processes, run_machines
from bench.contenders.topics import Broker
from coordinator.claims import Claims
from coordinator.machine import Machine, Output, Seen
from schemas.codec import Undecodable, decode
from schemas.topics import Topic
from streams.address import Address
from streams.admin import EMBEDDED, create_topics
from streams.log import Log, Place

ANSWER = b'"type":"answered"'
READ = 1_000


class OurTopics:
    """A log of its own on the broker."""

    def __init__(self, broker: Broker, partitions: int) -> None:
        self._prefix = f"bench-{uuid4().hex[:8]}."
        self.commands, self.answers = f"{self._prefix}{Topic.CLAIMS}", f"{self._prefix}{Topic.FACTS}"
        with closing(kafka_log(broker.servers, self._prefix)) as log:
            create_topics(log, EMBEDDED | dict.fromkeys((Topic.CLAIMS, Topic.FACTS, Topic.TASKS), partitions))
            self.log_ids = [log.genesis(Place(Topic.CLAIMS, number)).log_id for number in range(partitions)]
            address = log.address()
        assert address is not None, "others can open a log on a server"
        self.address = address

    def bytes_below(self, folder: Path) -> int:
        """What its records take in the broker's folder."""
        return sum(file.stat().st_size for file in folder.glob(f"{self._prefix}*/*.log"))


@contextmanager
def coordinators(topics: OurTopics, number: int = 1, *, on_disk: bool = True) -> Iterator[Sequence[int]]:
    """So many coordinators, each with its share of the claims' partitions; their process ids."""
    partitions = range(len(topics.log_ids))
    shares = [{Topic.CLAIMS: partitions[which::number]} for which in range(number)]
    with TemporaryDirectory(prefix="crunch-reuse-bench-") as folder:
        folders = [Path(folder, str(which)) if on_disk else None for which in range(number)]
        starts = [
            Start("coordinator", coordinate, (topics.address, share, own))
            for share, own in zip(shares, folders, strict=True)
        ]
        with processes(starts) as pids:
            yield pids


@contextmanager
def limit(topics: OurTopics) -> Iterator[Sequence[int]]:
    """A process that says what the claims machine says, without deciding it; its process id."""
    with processes([Start("limit", repeat, (topics.address, range(len(topics.log_ids))))]) as pids:
        yield pids


def repeat(ready: Event, ending: Event, address: Address, numbers: Sequence[int]) -> None:
    """Decide all that stands in the log; then let the loop do all the rest."""
    log = address.open()
    said = Said({log.genesis(place).log_id: _decided(log, place) for place in (_claims(number) for number in numbers)})
    run_machines(ready, ending, log, [(said, numbers)], in_memory)
    log.close()


class Said:
    """Makes machines that say at each offset what was decided for it before, by the partition's log id."""

    topic = Topic.CLAIMS

    def __init__(self, outputs: Mapping[str, Sequence[Sequence[Output]]]) -> None:
        self._outputs = outputs

    def __call__(self) -> Machine:
        return Saying(self._outputs)

    def restore(self, snapshot: bytes) -> Machine:
        """A machine like any other."""
        assert snapshot == Saying.NOTHING
        return self()


class Saying:
    """Has no rules, and no state that it would keep."""

    topic: ClassVar[Topic] = Topic.CLAIMS
    NOTHING = b"{}"

    def __init__(self, outputs: Mapping[str, Sequence[Sequence[Output]]]) -> None:
        self._outputs = outputs

    def step(self, seen: Seen) -> Sequence[Output]:
        """What was decided."""
        return self._outputs[seen.log_id][seen.offset]

    def snapshot(self) -> bytes:
        """Nothing."""
        return self.NOTHING

    @classmethod
    def restore(cls, snapshot: bytes) -> Self:
        """One that says nothing."""
        assert snapshot == cls.NOTHING
        return cls({})


def _claims(number: int) -> Place:
    return Place(Topic.CLAIMS, number)


def _decided(log: Log, place: Place) -> list[list[Output]]:
    machine, log_id, found = Claims(), log.genesis(place).log_id, list[list[Output]]()
    while batch := log.read(place, len(found), READ):
        for offset, time, _, value in batch:
            envelope: Any = decode(Topic.CLAIMS, value)
            assert not isinstance(envelope, Undecodable), envelope
            found.append(list(machine.step(Seen(log_id, offset, time, value, envelope.body))))
    return found
