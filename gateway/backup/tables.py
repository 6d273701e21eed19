"""Tables of a Postgres schema in files, as COPY writes them, all of one moment; and back into tables that are empty.

Rows are text, so a newer server reads what an older one wrote. Which columns a file has stands beside it: tables may
have got others since.
"""

from hashlib import sha256
from pathlib import Path

import msgspec
from psycopg.sql import SQL, Composed, Identifier

from gateway.problems import Problem
from readmodel.connection import Connection

CHUNK = 1024 * 1024
_VERSIONS = frozenset({"layout", "migrations"})  # made with the tables, before there is anything in them
_LEFT_OUT = frozenset({"beside"})  # for traces: made where somebody traces, so where it is restored it may be missing
_TABLES = SQL(  # those that others point to come first
    "select c.relname from pg_class c where c.relnamespace = to_regnamespace(%s) and c.relkind = 'r'"
    " order by (select count(*) from pg_constraint k where k.conrelid = c.oid and k.contype = 'f'), c.relname"
)
_COLUMNS = SQL(
    "select column_name, is_identity = 'YES' from information_schema.columns"
    " where table_schema = %s and table_name = %s and is_generated = 'NEVER' order by ordinal_position"
)


class DamagedBackup(Problem):
    """A file of the backup is not what was written; one line that names it."""


class Table(msgspec.Struct, frozen=True):
    """A table in a file: its columns, the bytes of the file and their SHA-256."""

    schema: str
    name: str
    columns: tuple[str, ...]
    bytes: int
    sha256: str


def dump(connection: Connection, schema: str, folder: Path) -> list[Table]:
    """Write every table of the schema but what only traces need, in the caller's transaction.

    Raises the driver's errors, OSError.
    """
    names = [name for (name,) in connection.execute(_TABLES, (schema,)).fetchall()]
    wanted = [name for name in names if name not in _VERSIONS | _LEFT_OUT]
    return [_dump_table(connection, schema, name, folder) for name in wanted]


def _dump_table(connection: Connection, schema: str, name: str, folder: Path) -> Table:
    columns = tuple(column for column, _ in connection.execute(_COLUMNS, (schema, name)))
    statement = SQL("copy {} ({}) to stdout").format(Identifier(schema, name), _listed(columns))
    digest, size = sha256(), 0
    with connection.cursor().copy(statement) as copy, path_of(folder, schema, name).open("wb") as file:
        for data in copy:
            digest.update(data)
            size += len(data)
            file.write(data)
    return Table(schema, name, columns, size, digest.hexdigest())


def load(connection: Connection, tables: list[Table], folder: Path) -> None:
    """Fill empty tables from their files, in the caller's transaction. Raises DamagedBackup."""
    for table in tables:
        if table.name in _LEFT_OUT:
            continue
        _load_table(connection, table, folder)
        _continue_numbers(connection, table)


def _load_table(connection: Connection, table: Table, folder: Path) -> None:
    path = path_of(folder, table.schema, table.name)
    statement = SQL("copy {} ({}) from stdin").format(Identifier(table.schema, table.name), _listed(table.columns))
    digest = sha256()
    try:
        with path.open("rb") as file, connection.cursor().copy(statement) as copy:
            while data := file.read(CHUNK):
                digest.update(data)
                copy.write(data)
    except FileNotFoundError:
        raise DamagedBackup(f"{path} is missing: take the backup from another copy") from None
    if digest.hexdigest() != table.sha256:
        raise DamagedBackup(f"{path} is not what was written: take the backup from another copy")


def _continue_numbers(connection: Connection, table: Table) -> None:
    """Numbers that the server gives go on after the highest that was given."""
    for column, is_identity in connection.execute(_COLUMNS, (table.schema, table.name)).fetchall():
        if is_identity:
            whole = Identifier(table.schema, table.name)
            highest = SQL("select max({}) from {}").format(Identifier(column), whole)
            sequence = f"{Identifier(table.schema).as_string()}.{Identifier(table.name).as_string()}"
            statement = SQL("select setval(pg_get_serial_sequence(%s, %s), ({})) where ({}) is not null")
            connection.execute(statement.format(highest, highest), (sequence, column))


def path_of(folder: Path, schema: str, name: str) -> Path:
    """The file of a table."""
    return folder / f"{schema}.{name}.copy"


def _listed(columns: tuple[str, ...]) -> Composed:
    return SQL(", ").join(map(Identifier, columns))
