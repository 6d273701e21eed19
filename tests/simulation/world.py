"""Virtual time, one random source, the log in memory, and whoever acts: everything that happens is an event in a queue."""

import heapq
from collections import Counter
from collections.abc import Callable
from random import Random
from typing import Any

from coordinator.claims import Claims
from coordinator.dispatch import Dispatch
from coordinator.jobs import Jobs
from coordinator.settings import Settings
from schemas.codec import encode
from schemas.fields import Record
from schemas.partition import partition_of
from schemas.topics import Topic, key_of
from streams.checkpoints import MemoryCheckpoints
from streams.log import Append, Place
from streams.memory import MemoryLog

PARTITIONS = {
    Topic.SETTINGS: 1,
    Topic.TASKS: 2,
    Topic.CLAIMS: 2,
    Topic.WORK: 1,
    Topic.ASSIGNMENTS: 1,
    Topic.FACTS: 2,
}
START = 1_700_000_000_000


class Code:
    """A version of the code: makes machines of one topic that know rules up to `rules`."""

    def __init__(self, topic: Topic, rules: int) -> None:
        self.topic = topic
        self.rules = rules
        self._kind: Any = {Topic.TASKS: Jobs, Topic.CLAIMS: Claims, Topic.WORK: Dispatch, Topic.SETTINGS: Settings}[
            topic
        ]

    def __call__(self) -> Any:
        """A machine that has seen nothing."""
        first = (PARTITIONS,) if self.topic is Topic.SETTINGS else ()
        return self._kind(*first, known_rules=self.rules)

    def restore(self, snapshot: bytes) -> Any:
        """The machine that made the snapshot."""
        return self._kind.restore(snapshot, self.rules)


class World:
    """The stage. `now`: virtual milliseconds; `clock_error`: by how much the log's clock is wrong at the moment."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.random = Random(seed)
        self.now = 0
        self._events: list[tuple[int, int, Callable[[], None]]] = []
        self._count = 0
        self._ids = 0
        self.clock_error = 0
        self.log = MemoryLog(lambda: START + self.now + self.clock_error, self._new_id)
        self.log.create(PARTITIONS)
        self.checkpoints = MemoryCheckpoints(keep=3)
        self.story: list[str] = []
        self.struck: Counter[str] = Counter()
        self.in_flight: Callable[[], bool] = lambda: False

    def _new_id(self) -> str:
        self._ids += 1
        return f"log{self.seed}-{self._ids}"

    def after(self, delay: int, action: Callable[[], None]) -> None:
        """Let `action` happen `delay` virtual milliseconds from now, after what was planned for the same moment."""
        self._count += 1
        heapq.heappush(self._events, (self.now + delay, self._count, action))

    def step(self) -> bool:
        """Let the next event happen; False if there is none."""
        if not self._events:
            return False
        self.now, _, action = heapq.heappop(self._events)
        action()
        return True

    def strike(self, fault: str) -> None:
        """A fault happened; it counts if work was in flight."""
        if self.in_flight():
            self.struck[fault] += 1

    def tell(self, line: str) -> None:
        """A line of the story that a failing seed prints."""
        self.story.append(f"{self.now:>8} {line}")


def to_append(topic: Topic, body: Record) -> Append:
    """The record where its key belongs."""
    key = key_of(topic, body)
    return Append(Place(topic, partition_of(key, PARTITIONS[topic])), key, encode(body))
