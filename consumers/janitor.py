"""The janitor: time for those who have no clock.

Ageing: entries whose output was last looked at longer ago than an interval are to be looked at again before they are
given. The claims machine knows order, not time; so the janitor turns a time into an offset and says `Aged`. It repeats
nothing: a partition in which no output was looked at since its last word is left alone.

Trimming: `work` and `assignments` are forgotten as far back as nobody needs them any more.
"""

import time
from collections.abc import Callable
from threading import Event

from schemas.claims import Aged, Exited, Verified
from schemas.codec import Undecodable, decode, encode
from schemas.topics import Topic
from streams.log import Append, Log, LogUnreachable, Place
from streams.moments import first_at

BATCH = 1_000
RESTARTS = 5  # how often in a row the log may be away
TRIMMED = (Topic.WORK, Topic.ASSIGNMENTS)
SafeOffset = Callable[[Place], int]


class Behind:
    """Safe offsets of a topic whose readers are always near its end: so many records before that.

    Counted, not timed: a reader that was frozen, on a machine that was asleep, has had no time either. And nothing is
    remembered, so that a janitor that has just started forgets no more than the one before it.
    """

    def __init__(self, log: Log, kept: int) -> None:
        self._log = log
        self._kept = kept

    def __call__(self, place: Place) -> int:
        """The lowest offset to keep. Raises LogError."""
        return max(0, self._log.end(place) - self._kept)


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Janitor:
    """`interval`: ms after which an entry is to be looked at again. `safe`: lowest offset that is still needed of a
    partition of `work` or `assignments`. `now`: ms since 1970, by a clock like the log's. Used by one thread.
    """

    def __init__(self, log: Log, *, interval: int, safe: SafeOffset, now: Callable[[], int] = wall_clock) -> None:
        self._log = log
        self._interval = interval
        self._safe = safe
        self._now = now
        self._aged = dict.fromkeys(self._places(Topic.CLAIMS), 0)

    def run(self, stop: Event, pause: float) -> None:
        """Clean up every `pause` seconds until `stop` is set.

        A log that went away may be back the next time. Raises LogError.
        """
        failures = 0
        while not stop.wait(pause):
            try:
                self.step()
                failures = 0
            except LogUnreachable:
                failures += 1
                if failures > RESTARTS:
                    raise

    def step(self) -> None:
        """Say what has aged, and forget what is over. Raises LogError."""
        for place in self._aged:
            self._age(place)
        for topic in TRIMMED:
            for place in self._places(topic):
                self._log.trim(place, self._safe(place))

    def _places(self, topic: Topic) -> list[Place]:
        return [Place(topic, number) for number in range(self._log.partitions(topic))]

    def _age(self, place: Place) -> None:
        before = first_at(self._log, place, self._now() - self._interval)
        if self._looked_at(place, self._aged[place], before):
            self._log.append([Append(place, "", encode(Aged(before=before)))])
        self._aged[place] = max(before, self._aged[place])

    def _looked_at(self, place: Place, start: int, end: int) -> bool:
        """Whether a record from `start` to before `end` says that an output was all there."""
        while start < end:
            for record in self._log.read(place, start, min(BATCH, end - start)):
                start = record.offset + 1
                envelope = decode(Topic.CLAIMS, record.value)
                if not isinstance(envelope, Undecodable) and isinstance(envelope.body, Exited | Verified):
                    return True
        return False
