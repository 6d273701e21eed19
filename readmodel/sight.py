"""Whose things a viewer may be shown: the read model's copy of users, groups and grants, asked through the one rule."""

from typing import NamedTuple

from coordinator.visibility import Standing, View
from readmodel.connection import Connection, translated
from readmodel.sql import statements

SQL = statements("queries.sql")
NOBODY = ""  # owns nothing: only who may see everything may read nobody's things


class Sight(NamedTuple):
    """Parameters of the queries: everything there is, or the things of these owners (users and groups).

    `own`: a running task and its job, for itself. They are there for it also when they were deleted: its execution may
    go on for another job.
    """

    everything: bool
    owners: list[str]
    own: list[str] = []  # noqa: RUF012 # never changed


def view(connection: Connection) -> View:
    """Users, groups and grants as the settings have them now. Raises ReadModelError."""
    return marked_view(connection, NOBODY)[1]


def marked_view(connection: Connection, settings: str) -> tuple[str | None, View]:
    """As `view`, with the mark at which it is so. `settings`: log id of the topic. Raises ReadModelError."""
    with translated():
        rows = connection.execute(SQL["view"], {"settings": settings}).fetchall()
    mark, made = None, View(users={}, groups={}, grants={})
    for kind, uuid, other, is_admin, is_active in rows:
        if kind == "user":
            made.users[uuid] = Standing(is_admin, is_active)
        elif kind == "group":
            made.groups[uuid] = other
        elif kind == "grant":
            made.grants.setdefault(uuid, {})[other] = None
        else:
            mark = other
    return mark, made


def sight(connection: Connection, viewer: str) -> Sight:
    """What the user with this uuid may see; a user nobody knows sees their own. Raises ReadModelError."""
    return sight_in(view(connection), viewer)


def sight_in(known: View, viewer: str) -> Sight:
    """What the user with this uuid may see by these users, groups and grants."""
    owners = sorted({viewer, *known.users, *known.groups})
    return Sight(known.can_read(viewer, NOBODY), [owner for owner in owners if known.can_read(viewer, owner)])
