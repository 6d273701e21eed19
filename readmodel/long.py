"""Statements of many lines, whose parameters are found once.

psycopg looks for the parameters of a text each time that it is asked, unless the text is short (4,096 characters in
3.3): for the longest of the API that was more than all the rest of asking.
"""

import re
from typing import Any, NamedTuple, Self

import psycopg
from psycopg.rows import dict_row

from readmodel.connection import Connection, translated

_PARAMETER = re.compile(rb"%(?:%|\((\w+)\)s)")


class Long(NamedTuple):
    """A statement with `$1`, `$2`, … in it, and which parameter each of them is."""

    text: bytes
    names: tuple[str, ...]

    @classmethod
    def of(cls, text: bytes) -> Self:
        """Of a text with `%(name)s` in it, and `%%` for one `%`."""
        places: dict[bytes, int] = {}

        def place(match: re.Match[bytes]) -> bytes:
            name = match[1]
            return b"%" if name is None else b"$%d" % places.setdefault(name, len(places) + 1)

        made = _PARAMETER.sub(place, text)
        return cls(made, tuple(name.decode() for name in places))


def fetch(connection: Connection, statement: Long, values: dict[str, Any]) -> list[dict[str, Any]]:
    """Its rows as dicts. Raises ReadModelError."""
    given = [values[name] for name in statement.names]
    with translated(), psycopg.RawCursor(connection, row_factory=dict_row) as cursor:
        return cursor.execute(statement.text, given).fetchall()
