"""One partition as a consumer hands it out: what was fetched and not read yet, without gaps."""

from collections import deque
from typing import Any

from streams.log import Stored, to_stored

HEADER = "traceparent"  # of the W3C
LONGEST_HEADER = 512
READ_BYTES = 16 * 1024 * 1024  # of one read


class Tape:
    """A partition's records from `position` on; `next` is the first offset that was not fetched yet.

    `end`: it was seen to go so far. `bytes`: of the values in hand. `asked`: where the consumer was last told to go on.
    `has_gap`: offsets were left out, and nothing is taken in until it was told to go there again.
    `broken`: it was torn. `beside`: by offset, what came as a header with what is in hand; None: nobody wants to know.
    """

    __slots__ = (
        *("_doubt", "_epoch", "_last", "asked", "beside", "broken", "bytes"),
        *("end", "has_gap", "next", "paused", "records"),
    )

    def __init__(self, offset: int) -> None:
        self.next = self.asked = offset
        self.has_gap = False
        self.records: deque[Stored] = deque()
        self.bytes = 0
        self.end = 0
        self.paused = False
        self._epoch = -1  # of the leader that wrote the last record
        self._doubt = False  # the leader changed: what was read before may be gone
        self._last: Stored | None = None  # that was read
        self.broken = False
        self.beside: dict[int, str] | None = None

    @property
    def position(self) -> int:
        """Offset of the next record to be read."""
        return self.records[0].offset if self.records else self.next

    def add(self, message: Any) -> None:
        """Take in a record, unless it does not come next. A null key or value counts as an empty one."""
        offset: int = message.offset()
        _, time = message.timestamp()
        key, value = message.key() or b"", message.value() or b""
        if not self._reach(offset, time):
            return
        self.records.append(to_stored((offset, time, key.decode("utf-8", "replace"), value)))
        self.bytes += len(value)
        self.next = offset + 1
        if self.beside is not None:
            self._note(message)
        if message.leader_epoch() != self._epoch:
            self._doubt = self._epoch >= 0
            self._epoch = message.leader_epoch()

    def stop(self, offset: int) -> None:
        """Hear that the consumer came to the end of the partition, `offset`."""
        self._reach(offset, 0)

    def ask_again(self) -> None:
        """Hear that the consumer was told to go on at `next`."""
        self.asked = self.next
        self.has_gap = False

    def holds(self, limit: int) -> bool:
        """Whether there is enough for a read of up to `limit` records."""
        return len(self.records) >= limit or self.bytes >= READ_BYTES

    def take(self, limit: int) -> list[Stored]:
        """The next records, up to `limit`, fewer where they are large."""
        taken: list[Stored] = []
        size = 0
        while self.records and len(taken) < limit and (not taken or size + len(self.records[0].value) <= READ_BYTES):
            record = self.records.popleft()
            size += len(record.value)
            taken.append(record)
            self._last = record
        self.bytes -= size
        return taken

    def beside_of(self, records: list[Stored]) -> dict[int, str]:
        """What came with these, which were taken; what came with those before them is forgotten."""
        if not self.beside or not records:
            return {}
        found = {offset: text for offset, text in self.beside.items() if records[0].offset <= offset < self.position}
        self.beside = {offset: text for offset, text in self.beside.items() if offset >= self.position}
        return found

    def _note(self, message: Any) -> None:
        for name, value in message.headers() or ():
            if name == HEADER and value is not None and len(value) <= LONGEST_HEADER:
                self.beside[message.offset()] = value.decode("ascii", "replace")  # type: ignore[index]

    def tear(self) -> None:
        """What comes next can't be had, and the consumer may leave it out: this can't be wound, only begun anew."""
        self.broken = True

    def wind_to(self, offset: int) -> bool:
        """Stand at `offset`, forwards among what is in hand or one record back; whether that can be done.

        Back it goes only where that record can't have changed. A leader changes nothing that it wrote; a new one may
        lack what the old one had, and hold something else there: so it is read again after a change of leaders.
        """
        if self.broken:
            return False
        if self._last is not None and self._last.offset == offset and not self._doubt:
            self.records.appendleft(self._last)
            self.bytes += len(self._last.value)
            self._last = None
            return True
        if not self.position <= offset <= self.next:
            return False
        while self.records and self.records[0].offset < offset:
            self._last = self.records.popleft()
            self.bytes -= len(self._last.value)
        return True

    def _reach(self, offset: int, time: int) -> bool:
        """Whether this offset comes next. Those left out before it come as empty records, where that is sure.

        Nobody is handed the end marks of transactions; but what is left out may as well be a record that was handed
        out and got lost on the way to here. So it is sure only of what follows at once where the consumer was asked.
        """
        if offset > self.next and self.asked != self.next:
            self.has_gap = True
        if self.broken or self.has_gap:
            return False
        while self.next < offset:
            self.records.append(Stored(self.next, time, "", b""))
            self.next += 1
        return True
