"""How far the tables are from the log: positions and marks, written in the same transaction as the rows."""

from typing import NamedTuple

from readmodel.connection import Connection
from readmodel.sql import statements

SQL = statements("progress.sql")


class Position(NamedTuple):
    """A partition of `facts`: its log id when it was first read, the offset to be read next, and what is before that.

    `digest`: SHA-256 of that record's value; empty where an earlier version did not keep it.
    """

    log_id: str
    next_offset: int
    digest: str


class Progress(NamedTuple):
    """Positions by partition; the highest cause (offset, index) applied, by partition and log id of its source."""

    positions: dict[int, Position]
    marks: dict[int, dict[str, tuple[int, int]]]


def share(connection: Connection) -> None:
    """First in each transaction that writes: the tables are the same to its end."""
    connection.execute(SQL["share"])


def begin(connection: Connection, log_ids: dict[int, str]) -> None:
    """Note the partitions that were not there before."""
    for partition, log_id in log_ids.items():
        connection.execute(SQL["begin_partition"], {"partition": partition, "log_id": log_id})


def load(connection: Connection, partitions: list[int] | None = None) -> Progress:
    """Where the tables are with these partitions (None: all); nobody else moves them until the transaction ends."""
    own = {"partitions": partitions}
    rows = connection.execute(SQL["positions"], own).fetchall()
    marks: dict[int, dict[str, tuple[int, int]]] = {partition: {} for partition, *_ in rows}
    for partition, source, offset, index in connection.execute(SQL["marks"], own):
        marks[partition][source] = (offset, index)
    return Progress({partition: Position(*stands) for partition, *stands in rows}, marks)


class Reached(NamedTuple):
    """How far a partition is projected: the offset to be read next; append time (ms) and digest of the one before."""

    next_offset: int
    as_of: int
    digest: str


def keep_digest(connection: Connection, partition: int, digest: str) -> None:
    """What stands before the partition's position, where that was not known."""
    connection.execute(SQL["keep_digest"], {"partition": partition, "digest": digest})


def move(
    connection: Connection, partition: int, reached: Reached, marks: dict[str, tuple[int, int]], answers_kept: int
) -> None:
    """The partition is projected up to here; answers further back than `answers_kept` facts are forgotten."""
    at, next_offset = {"partition": partition}, reached.next_offset
    connection.execute(SQL["move_position"], at | reached._asdict())
    connection.execute(SQL["forget_answers"], at | {"before": next_offset - answers_kept})
    for source, (offset, index) in marks.items():
        mark = {"source_log_id": source, "cause_offset": offset, "cause_index": index}
        connection.execute(SQL["move_mark"], at | mark)


def notify(connection: Connection) -> None:
    """Wake who listens, when the transaction is committed."""
    connection.execute(SQL["notify"])
