"""The read model made anew from the log beside the one that serves: to take its place, or to tell where that drifted.

While it is made, the other one serves and is written. In the end projectors wait for a moment: for the last facts, and
for two names to be exchanged. Who is in the middle of a transaction finishes it on the former tables.
"""

from collections.abc import Callable
from contextlib import closing

from consumers.projector import Projector
from readmodel import beside, board
from readmodel.beside import CHECK, NEXT
from readmodel.connection import Connection, ReadModelError, connect, translated
from streams.log import Log

Progress = Callable[[int], None]
Drift = dict[str, tuple[int, list[str]]]
FORMER = "rm_former"


class RebuildUnderWay(ReadModelError):
    """Somebody else makes tables beside those that serve."""


def rebuild(log: Log, dsn: str, tell: Progress) -> int:
    """Make the read model anew, and let that one serve; the number of records read. `tell`: how many so far.

    Raises ReadModelError, LogError, ProjectionStopped: then the former one serves as before.
    """
    with closing(_alone(dsn)) as connection:
        for left in (NEXT, FORMER):
            beside.clear(connection, left)
        with closing(Projector(log, dsn, tables=NEXT)) as projector:
            while projector.step():
                tell(projector.projected)
            with translated(), connection.transaction():
                beside.hold(connection)
                projector.catch_up()
                beside.take_place(connection)
            beside.clear(connection, FORMER)
            return projector.projected


def drift(log: Log, dsn: str, tell: Progress) -> Drift:
    """Where the tables that serve differ from what the log says, by table: see `readmodel.beside.differences`.

    Raises ReadModelError, LogError, ProjectionStopped.
    """
    with closing(_alone(dsn)) as connection:
        beside.clear(connection, CHECK)
        try:
            with closing(Projector(log, dsn, tables=CHECK)) as projector:
                projector.catch_up_to(_positions(connection))
                tell(projector.projected)
                return _compared(connection, dsn, projector)
        finally:
            beside.clear(connection, CHECK)


def _compared(connection: Connection, dsn: str, projector: Projector) -> Drift:
    """Both at the same positions, in one snapshot: projectors wait for the last facts, not for the comparison."""
    with closing(connect(dsn)) as looking, translated(), looking.transaction():
        with connection.transaction():
            beside.hold(connection)
            projector.catch_up_to(_positions(connection))
            looking.execute("set transaction isolation level repeatable read, read only")
            looking.execute("select 1")  # the snapshot is of now
        return beside.differences(looking)


def _positions(connection: Connection) -> dict[int, int]:
    return {one.partition: one.next_offset for one in board.projected(connection)}


def _alone(dsn: str) -> Connection:
    connection = connect(dsn)
    if not beside.alone(connection):
        connection.close()
        raise RebuildUnderWay("another rebuild or drift check of this read model is under way: wait for its end")
    return connection
