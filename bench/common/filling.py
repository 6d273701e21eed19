"""Much data into a table at once: no log is written of it, and its indexes are made when all of it is there."""

import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from psycopg.sql import SQL, Identifier

from readmodel.connection import Connection

INDEXES = """
select i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid), c.conname, pg_get_constraintdef(c.oid)
from pg_index i left join pg_constraint c on c.conindid = i.indexrelid
where i.indrelid = %s::regclass order by 1
"""


@contextmanager
def kept_or_new(folder: Path | None) -> Iterator[Path]:
    """The folder of the data: one that is kept, or one of the bench's own."""
    if folder is not None:
        yield folder
        return
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as name:
        yield Path(name)


@contextmanager
def filled(connection: Connection, table: str) -> Iterator[None]:
    """Empty the table, and let the context fill it, all in one transaction. `table`: with its schema's name."""
    schema, _, name = table.partition(".")
    place = Identifier(schema, name)
    with connection.transaction():
        connection.execute("set local maintenance_work_mem = '512MB'; set local max_parallel_maintenance_workers = 2")
        connection.execute(SQL("truncate {}").format(place))  # what follows in this transaction needs no log
        indexes = connection.execute(INDEXES, (table,)).fetchall()
        for index, _, constraint, _ in indexes:
            if constraint:
                connection.execute(SQL("alter table {} drop constraint {}").format(place, Identifier(constraint)))
            else:
                connection.execute(f"drop index {index}".encode())
        yield
        for _, definition, constraint, constrained in indexes:
            statement = f"alter table {table} add constraint {constraint} {constrained}" if constraint else definition
            connection.execute(statement.encode())


def copy(connection: Connection, table: str, columns: str, rows: Iterable[tuple[Any, ...]]) -> None:
    """Fill the table with these rows, by COPY. `columns`: their names, with commas between them."""
    with filled(connection, table), connection.cursor().copy(f"copy {table} ({columns}) from stdin".encode()) as into:
        for row in rows:
            into.write_row(row)
