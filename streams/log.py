"""The port to the log: what every adapter does, and what the loop relies on.

Promises, each tested by the one contract suite that all adapters pass:

- A partition is a gapless sequence of records from offset 0; offset 0 is its Genesis record.
- An append is acknowledged only when it is durable. Records of one call keep their order within each partition.
- A reader sees a record only when every lower offset of its partition is visible too (no slow committer).
- Append times never decrease within what the adapter can promise, and come from the log, not from the writer.
- A failed append raises; it may have taken effect in part (a prefix per partition) or in whole.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import NamedTuple, Protocol

from schemas.log import Genesis
from schemas.topics import Topic
from streams.address import Address


class Place(NamedTuple):
    """A partition of a topic."""

    topic: Topic
    partition: int

    def __str__(self) -> str:
        return f"{self.topic}/{self.partition}"


class Append(NamedTuple):
    """One record to append: place, key (UTF-8 text) and value bytes."""

    place: Place
    key: str
    value: bytes


class Stored(NamedTuple):
    """One record as the log keeps it. `time`: append time, milliseconds since 1970."""

    offset: int
    time: int
    key: str
    value: bytes


# A named tuple's own constructor runs in Python, at five times the cost; these two are for where every record passes.
to_append: Callable[[tuple[Place, str, bytes]], Append] = partial(tuple.__new__, Append)
to_stored: Callable[[tuple[int, int, str, bytes]], Stored] = partial(tuple.__new__, Stored)


class Floor(NamedTuple):
    """How far a reader's outputs are known to be appended.

    `offset`: first one not yet done. `digest`: of the record before it. `log_id`: the partition's; a topic made anew
    has another, also where the same commands were sent to it again.
    """

    offset: int
    digest: str
    log_id: str


class LogError(Exception):
    """The log could not do it; one line for people. The process that gets it ends."""


class LogUnreachable(LogError):
    """The server behind the log can't be reached or went away."""


class LogMismatch(LogError):
    """The log is not the one that was expected: truncated, recreated, other partition count or hash."""


def out_of_range(place: Place, offset: int, start: int, end: int) -> LogMismatch:
    """What a read below the start or beyond the end raises."""
    return LogMismatch(f"{place} holds offsets {start} to {end}, not {offset}: it was trimmed or truncated")


class Log(Protocol):
    """A log of topics with partitions."""

    def create(self, partitions: dict[Topic, int]) -> None:
        """Make the topics that are missing, each partition with its Genesis. Raises LogMismatch on another count."""
        ...

    def partitions(self, topic: Topic) -> int:
        """Number of partitions of the topic."""
        ...

    def genesis(self, place: Place) -> Genesis:
        """The partition's first record, also after a trim. Raises LogMismatch if it is not there or not a Genesis."""
        ...

    def append(self, records: Sequence[Append]) -> list[int]:
        """Append durably, in order; the offsets, one for each record. Raises LogError."""
        ...

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """Up to `limit` records from `offset` on; fewer where they are large, none only at the end.

        Raises LogMismatch below the start or beyond the end.
        """
        ...

    def end(self, place: Place) -> int:
        """Offset that the next record of the partition will get."""
        ...

    def start(self, place: Place) -> int:
        """Lowest offset still there: 0 unless the partition was trimmed."""
        ...

    def trim(self, place: Place, before: int) -> None:
        """Forget records below `before`. Their offsets are never used again."""
        ...

    def wait(self, positions: dict[Place, int], timeout: float) -> set[Place]:
        """Places with a record at or beyond their position, once there is one; none after `timeout` seconds."""
        ...

    def wake(self) -> None:
        """End the wait that is under way here, or else the next one, as if its time had passed; from any thread."""
        ...

    def floor(self, reader: str, place: Place) -> Floor | None:
        """The reader's emitted floor in this partition, or None if it never had one."""
        ...

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        """Raise the floor; a lower one than the present is ignored (a zombie's).

        Others see it at once, or at the latest when the next append or question for a floor here is answered, or when
        it is moved once more to where it was moved, which waits for that. A crash of the server may take the last
        moves back, one of ours those that nobody waited for, and neither the records appended before them.
        """
        ...

    def address(self) -> Address | None:
        """How another process opens the same log; None where none can."""
        ...

    def clone(self) -> "Log":
        """The same log for another thread: an instance is used by one thread, except for `close` and `wake`."""
        ...

    def close(self) -> None:
        """Release what this instance holds, from any thread. Wakes who waits on it."""
        ...
