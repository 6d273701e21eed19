"""A machine's state as it is kept outside of it: a head, the rows in order of their keys, and one digest over both.

The digest is SHA-256 over the entries, each as its length in digits, a space, its bytes, a line feed: first the head,
then for each row the JSON array of key and row, keys in order of their UTF-8 bytes. It covers the whole state of the
machine and nothing else: not the offset, the marks or the log. It is worked out as the entries pass by.
"""

from collections.abc import Callable, Iterable, Iterator
from hashlib import sha256
from typing import Any, Protocol, runtime_checkable

import msgspec

from coordinator.machine import Machine
from coordinator.rows import Rowed
from schemas.topics import Topic
from streams.marks import Marks

LAYOUT = 5
"""Of heads and rows: higher by one whenever a machine's state gets, loses or renames a field. A test holds this."""

EncodedRow = tuple[str, bytes]
"""Key, and the row as JSON."""


class MachineType(Protocol):
    """What makes machines of one topic: a machine class."""

    @property
    def topic(self) -> Topic:
        """The topic whose partitions they run on."""
        ...

    def __call__(self) -> Machine:
        """A machine that has seen nothing."""
        ...

    def restore(self, snapshot: bytes) -> Machine:
        """The machine that made the snapshot."""
        ...


@runtime_checkable
class Encoded(Protocol):
    """Rows that are kept as JSON, most of them not in memory."""

    def encoded(self) -> Iterator[EncodedRow]:
        """All rows as they are now, in order of their keys."""
        ...


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """What a kept state is of, and all that must still hold for it to be used.

    `offset`: the state is that before it. `digest`: of the record before it. `targets`: log id of every partition that
    the machine writes to, by `topic/partition`. `rules`: newest rules the code that made it knew. `marks`: highest
    cause (offset, index) seen, by source log id. `layout`: of head and rows.
    """

    topic: Topic
    partition: int
    log_id: str
    targets: dict[str, str]
    offset: int
    digest: str
    rules: int
    marks: Marks
    layout: int = LAYOUT


def head_of(machine: Machine) -> bytes:
    """All of its state but the rows, as JSON."""
    return machine.head() if isinstance(machine, Rowed) else machine.snapshot()


def encoded_rows(machine: Machine) -> Iterator[EncodedRow]:
    """Its rows, in order of their keys; none if it is of the kind that has none."""
    if not isinstance(machine, Rowed):
        return iter(())
    if isinstance(machine.rows, Encoded):
        return machine.rows.encoded()
    return ((key, msgspec.json.encode(row)) for key, row in sorted(machine.rows.items()))


def entries(head: bytes, rows: Iterable[EncodedRow]) -> Iterator[bytes]:
    """The state as a sequence of bytes, which the digest is over."""
    yield b"%d %b\n" % (len(head), head)
    for key, row in rows:
        entry = b"[%b,%b]" % (msgspec.json.encode(key), row)
        yield b"%d %b\n" % (len(entry), entry)


def state_hash(machine: Machine) -> str:
    """SHA-256 of its whole state, 64 hexadecimal digits: the same as in the header of a snapshot of it."""
    digest = sha256()
    for entry in entries(head_of(machine), encoded_rows(machine)):
        digest.update(entry)
    return digest.hexdigest()


def row_decoder(machine: Rowed) -> Callable[[bytes], Any]:
    """What makes its rows of their JSON. Raises msgspec.DecodeError."""
    return msgspec.json.Decoder(machine.row).decode


def in_memory(kind: MachineType, head: bytes, rows: Iterable[EncodedRow]) -> Machine:
    """The machine whose state this is, its rows in a dict. Raises msgspec.DecodeError."""
    machine = kind.restore(head)
    if isinstance(machine, Rowed):
        decode = row_decoder(machine)
        machine.rows = {key: decode(row) for key, row in rows}
    return machine
