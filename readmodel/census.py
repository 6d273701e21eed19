"""Who is who and may see what, kept in memory for as long as the settings stay as they are.

The projector writes rows and marks in one transaction, so the mark of the settings names one state of users, groups and
grants: who knows it by heart needs to ask for nothing but the mark. A rebuild comes to the same state at the same mark.
"""

import threading

from coordinator.visibility import Standing, View
from readmodel.connection import Connection, translated
from readmodel.sight import SQL, Sight, marked_view, sight_in


class People:
    """Users, groups and grants of one moment. Any thread may ask."""

    def __init__(self, mark: str | None, view: View) -> None:
        self.mark = mark
        self._view = view
        self._sights: dict[str, Sight] = {}
        self._lock = threading.Lock()

    def standing(self, user: str) -> Standing | None:
        """What the user with this uuid is; None: nobody."""
        return self._view.users.get(user)

    def owner_of(self, group: str) -> str | None:
        """The user or group that owns a group; None: it is none."""
        return self._view.groups.get(group)

    def sight(self, viewer: str) -> Sight:
        """What the user with this uuid may see; a user nobody knows sees their own."""
        with self._lock:
            if viewer not in self._sights:
                self._sights[viewer] = sight_in(self._view, viewer)
            return self._sights[viewer]


class Census:
    """The newest `People` that were read. `settings`: log id of that topic."""

    def __init__(self, settings: str) -> None:
        self.settings = settings
        self._people = People(None, View())

    def now(self, connection: Connection) -> People:
        """Everybody as it is now. Raises ReadModelError."""
        with translated():
            row = connection.execute(SQL["settings_mark"], {"settings": self.settings}).fetchone()
        return self.at(connection, row[0] if row else None)

    def at(self, connection: Connection, mark: str | None) -> People:
        """Everybody as it is at this mark, which was just read, or later. Raises ReadModelError."""
        people = self._people
        if mark is None or people.mark != mark:
            people = self._people = People(*marked_view(connection, self.settings))
        return people
