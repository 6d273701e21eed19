"""Whose things a viewer may be shown: the read model's copy of users, groups and grants, asked through the one rule."""

from typing import NamedTuple

from coordinator.visibility import Standing, View
from readmodel.connection import Connection, translated
from readmodel.sql import statements

SQL = statements("queries.sql")
NOBODY = ""  # owns nothing: only who may see everything may read nobody's things


class Sight(NamedTuple):
    """Parameters of the queries: everything there is, or the things of these owners (users and groups)."""

    everything: bool
    owners: list[str]


def view(connection: Connection) -> View:
    """Users, groups and grants as the settings have them now. Raises ReadModelError."""
    with translated():
        users = connection.execute(SQL["users"]).fetchall()
        groups = connection.execute(SQL["groups"]).fetchall()
        grants = connection.execute(SQL["grants"]).fetchall()
    made = View(
        users={uuid: Standing(is_admin, is_active) for uuid, _, is_admin, is_active in users},
        groups={uuid: owner for uuid, _, owner in groups},
    )
    for subject, thing in grants:
        made.grants.setdefault(subject, {})[thing] = None
    return made


def sight(connection: Connection, viewer: str) -> Sight:
    """What the user with this uuid may see; a user nobody knows sees their own. Raises ReadModelError."""
    known = view(connection)
    owners = sorted({viewer, *known.users, *known.groups})
    return Sight(known.can_read(viewer, NOBODY), [owner for owner in owners if known.can_read(viewer, owner)])
