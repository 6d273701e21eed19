"""The effects of many facts in few statements.

One statement writes any number of rows, but no row twice. So a batch is written in waves: the first effect on every row
in the first wave, the second in the second, and so on. Effects on one row keep their order; those on different rows
never needed one. What counts rows comes last, when they are all there.
"""

import re
from operator import itemgetter
from typing import Any

import msgspec

from readmodel.connection import Connection
from readmodel.projection import Effect
from readmodel.sql import statements

SQL = statements("projection.sql")

# The table that a statement writes, and the fields that name the row.
ROWS: dict[str, tuple[str, ...]] = {
    "job_described": ("jobs", "root"),
    "job_changed": ("jobs", "root"),
    "priority_changed": ("jobs", "root"),
    "task_described": ("job_tasks", "root", "task"),
    "purity_changed": ("job_tasks", "root", "task"),
    "task_changed": ("job_tasks", "root", "task"),
    "task_decided": ("job_tasks", "root", "task"),
    "task_reads": ("job_tasks", "root", "task"),
    "task_found_alike": ("job_tasks", "root", "task"),
    "execution_granted": ("tasks", "token"),
    "execution_held": ("tasks", "token"),
    "execution_changed": ("tasks", "token"),
    "doubled": ("doubled", "token"),
    "disagreed": ("disagreements", "earlier", "later"),
    "kept": ("disagreements", "token"),  # whatever was told of it before
    "claim_changed": ("claims", "fingerprint"),
    "answered": ("answers", "cause_log_id", "cause_offset"),
    "said": ("job_log", "root", "position"),
    "counted": ("hours", "partition", "position"),  # adds up by itself what many facts say of one row
    "user_set": ("users", "user"),
    "group_set": ("groups", "group"),
    "grant_set": ("grants", "subject", "object"),
    "grant_removed": ("grants", "subject", "object"),
    "number_set": ("settings", "name"),
    "rules_set": ("rules", "version"),
    "pure_assumed": ("assumed_pure", "repository", "script"),
}


def _fields(statement: bytes) -> tuple[str, ...]:
    """The names in its `as f (...)`: what it reads of an effect."""
    listed = re.search(rb"as f \((.*?)\)", statement, re.DOTALL)
    assert listed is not None, statement
    return tuple(field.split()[0].strip(b'"').decode() for field in listed[1].split(b","))


CARRIED = ("spec", "bound")  # JSON within a record: kept as its text
LAST = {"counted": 2**31, "kept": 2**31}  # the wave of statements that read what others of the batch write

READ = {name: _fields(statement) for name, statement in SQL.items()}
_PICK = {name: itemgetter(*fields) for name, fields in READ.items()}
_TEXTS = {name: tuple(field for field in fields if field in CARRIED) for name, fields in READ.items()}


class Batch:
    """Effects to be written together."""

    def __init__(self) -> None:
        self._waves: dict[tuple[int, str], list[dict[str, Any]]] = {}
        self._next: dict[tuple[Any, ...], int] = {}

    def add(self, effect: Effect) -> None:
        """One more, after those that were added before."""
        name, fields = effect
        table, *key = ROWS[name]
        row = (table, *[fields[field] for field in key])
        wave = self._next.get(row, 0)
        self._next[row] = wave + 1
        read = dict(zip(READ[name], _PICK[name](fields), strict=True))
        for field in _TEXTS[name]:
            read[field] = bytes(read[field]).decode()
        self._waves.setdefault((LAST.get(name, wave), name), []).append(read)

    def write(self, connection: Connection) -> None:
        """Write all of it, inside the caller's transaction. Raises the driver's errors."""
        for wave, name in sorted(self._waves):
            connection.execute(SQL[name], (_as_json(self._waves[wave, name]),))


def _as_json(rows: list[dict[str, Any]]) -> str:
    """The rows as JSON that Postgres can hold: no NUL in text."""
    made = msgspec.json.encode(rows)
    if rb"\u0000" not in made:
        return made.decode()
    storable = [{field: _storable(value) for field, value in row.items()} for row in rows]
    return msgspec.json.encode(storable).decode()


def _storable(value: Any) -> Any:
    return value.replace("\0", "\N{REPLACEMENT CHARACTER}") if isinstance(value, str) else value
