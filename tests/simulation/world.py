"""The stage: virtual time, one random source, the log in memory, and a queue of all that is to happen."""

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from random import Random
from typing import Any

from coordinator.dispatch import Dispatch
from coordinator.jobs import Jobs
from coordinator.proof import WatchedClaims
from coordinator.settings import Settings
from schemas.codec import encode
from schemas.facts import Doubled, Granted
from schemas.fields import Record
from schemas.partition import partition_of
from schemas.topics import Topic, key_of
from streams.checkpoints import MemoryCheckpoints
from streams.log import Append, Place, Stored
from streams.memory import MemoryLog

PARTITIONS = {
    Topic.SETTINGS: 1,
    Topic.TASKS: 2,
    Topic.CLAIMS: 2,
    Topic.WORK: 1,
    Topic.ASSIGNMENTS: 1,
    Topic.FACTS: 2,
}


class ProvenClaims(WatchedClaims):
    """Claims of which no grant is made beside another that would do."""

    @staticmethod
    def heard(fact: Granted | Doubled) -> None:
        assert type(fact) is Granted, f"{fact.token} was granted beside {fact.beside}, which would have done"


MACHINES: dict[Topic, Any] = {
    Topic.SETTINGS: Settings,
    Topic.TASKS: Jobs,
    Topic.CLAIMS: ProvenClaims,
    Topic.WORK: Dispatch,
}
START = 1_700_000_000_000
NEWEST_RULES = 2


class Code:
    """A version of the code: makes machines of one topic that know rules up to `rules`."""

    def __init__(self, topic: Topic, rules: int) -> None:
        self.topic = topic
        self.rules = rules
        self._kind = MACHINES[topic]

    def __call__(self) -> Any:
        """A machine that has seen nothing."""
        first = (PARTITIONS,) if self.topic is Topic.SETTINGS else ()
        return self._kind(*first, known_rules=self.rules)

    def restore(self, snapshot: bytes) -> Any:
        """The machine that made the snapshot."""
        return self._kind.restore(snapshot, self.rules)


class WatchedLog(MemoryLog):
    """A log that tells of every record as it lands."""

    def __init__(self, now: Callable[[], int], new_id: Callable[[], str], landed: Callable[[Place, Stored], None]):
        super().__init__(now, new_id)
        self._landed = landed

    def append(self, records: Sequence[Append]) -> list[int]:
        offsets = super().append(records)
        for record, offset in zip(records, offsets, strict=True):
            partition = self.at[record.place]
            self._landed(record.place, partition.records[offset - partition.start])
        return offsets


class World:
    """`now`: virtual milliseconds; `clock_error`: by how much the log's clock is wrong at the moment.

    `watch`: told of every record that landed, after the event in which it did; it may raise.
    """

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0
        self.clock_error = 0
        self._events: list[tuple[int, int, Callable[..., None], tuple[Any, ...]]] = []
        self._count = 0
        self._ids = 0
        self._fresh: list[tuple[Place, Stored]] = []
        self._grown: dict[Place, None] = {}
        self._listeners: dict[Place, list[Callable[[], None]]] = {}
        self.log = WatchedLog(lambda: START + self.now + self.clock_error, self._new_id, self._landed)
        self.log.create(PARTITIONS)
        self.checkpoints = MemoryCheckpoints(keep=3)
        self.story: list[tuple[int, str]] = []
        self.struck: Counter[str] = Counter()
        self.in_flight: Callable[[], bool] = lambda: False
        self.watch: Callable[[Place, Stored], None] = lambda place, stored: None

    def _new_id(self) -> str:
        self._ids += 1
        return f"log{self.seed}-{self._ids}"

    def _landed(self, place: Place, stored: Stored) -> None:
        self._fresh.append((place, stored))
        self._grown[place] = None

    def listen(self, place: Place, wake: Callable[[], None]) -> None:
        """Call `wake` after each event that made the partition grow."""
        self._listeners.setdefault(place, []).append(wake)

    def ignore(self, place: Place, wake: Callable[[], None]) -> None:
        """Call it no more."""
        self._listeners[place].remove(wake)

    def after(self, delay: int, action: Callable[..., None], *arguments: Any) -> None:
        """Let `action` happen `delay` virtual milliseconds from now, after what was planned for the same moment."""
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, action, arguments))

    def step(self) -> None:
        """Let the next event happen, show what it wrote, and wake who waits for it."""
        self.now, _, action, arguments = heapq.heappop(self._events)
        action(*arguments)
        if self._grown:
            self.show()
            grown, self._grown = self._grown, {}
            for place in grown:
                for wake in self._listeners.get(place, ()):
                    wake()

    def show(self) -> None:
        """Let the watch see what has landed so far."""
        fresh, self._fresh = self._fresh, []
        for place, stored in fresh:
            self.watch(place, stored)

    def strike(self, fault: str) -> None:
        """A fault happened; it counts if work was in flight."""
        if self.in_flight():
            self.struck[fault] += 1

    def tell(self, line: str) -> None:
        """A line of the story that a failing seed prints."""
        self.story.append((self.now, line))

    def chance(self, probability: float) -> bool:
        """Whether something of this probability happens now. Draws nothing for what can't happen."""
        return probability > 0 and self.random.random() < probability


def to_append(topic: Topic, body: Record) -> Append:
    """The record where its key belongs."""
    key = key_of(topic, body)
    return Append(Place(topic, partition_of(key, PARTITIONS[topic]) if key else 0), key, encode(body))
