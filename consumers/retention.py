"""Retention: entries that are older, or were used longer ago, than the settings say are taken out of reuse.

Nothing is kept here: how old an entry is and when it was last given stands in the read model, how long it may stay is
a number of the settings, and what goes is a command like an operator's, in the log with its reason. So a crash or a
second one of these only repeats. What an entry's output took in the store is `store gc`'s to free.

Nothing is judged by that: an entry is removed, so that its word stands should another output turn up before the
command has its place in the log. Where outputs of one work are known to disagree, its entries go together, with the
first whose time is over, and the work begins anew.
"""

import logging
import time
from collections.abc import Callable
from contextlib import closing
from threading import Event

from coordinator import config
from readmodel import cache, queries
from readmodel.cache import Due
from readmodel.connection import ReadModelUnreachable, connect
from schemas.claims import Invalidated, Removed
from schemas.codec import encode
from schemas.topics import Topic
from streams.log import Append, Log, LogUnreachable
from streams.routes import Routes

LOGGER = logging.getLogger(__name__)
DAY = 24 * 3_600_000  # ms
MOST = 10_000  # entries that go in one look; the others in the next ones


def wall_clock() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


class Retention:
    """Reads the read model at `dsn`, appends to `claims` of `log`. `now`: ms since 1970. Used by one thread."""

    def __init__(self, log: Log, dsn: str, *, now: Callable[[], int] = wall_clock) -> None:
        self._log = log
        self._dsn = dsn
        self._now = now
        self._routes = Routes(log, (Topic.CLAIMS,))
        self._said: set[str] = set()

    def run(self, stop: Event, pause: float) -> None:
        """Look every `pause` seconds until `stop` is set; where log or Postgres are away, the next time again.

        Raises LogError, ReadModelError.
        """
        while not stop.wait(pause):
            try:
                self.step()
            except (ReadModelUnreachable, LogUnreachable) as error:
                LOGGER.warning("%s; entries whose time is over stay until it is back", error)

    def step(self) -> int:
        """Take out what is due; how many commands that took. Raises LogError, ReadModelError."""
        with closing(connect(self._dsn)) as connection:
            numbers = config.of(queries.numbers(connection))
            age, unused = numbers.keep_days, numbers.keep_unused_days
            if not (age or unused):
                return 0
            found = cache.due(connection, self._before(age), self._before(unused), MOST)
        fresh = [one for one in found if one.token not in self._said]
        commands = list(dict.fromkeys(self._taken_out(one, age, unused) for one in fresh))
        self._log.append(commands)
        self._said = {one.token for one in found}
        return len(commands)

    def _before(self, days: int) -> int:
        """What is of an earlier time than this has been there for so many days; 0: nothing is."""
        return self._now() - days * DAY if days else 0

    def _taken_out(self, entry: Due, age: int, unused: int) -> Append:
        """The command. Its reason is true of whatever goes with this entry, and tells of nothing else that does."""
        what = f"is more than {age} days old" if entry.is_old else f"was not used for {unused} days"
        fingerprint, reason = entry.fingerprint, f"what {what} is kept no longer"
        gone: Invalidated | Removed = (
            Invalidated(fingerprint=fingerprint, reason=reason)
            if entry.is_disputed
            else Removed(fingerprint=fingerprint, token=entry.token, reason=reason)
        )
        return Append(self._routes.place(Topic.CLAIMS, fingerprint), fingerprint, encode(gone))
