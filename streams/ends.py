"""Where partitions end, looked at again and again by a thread of its own: what readers are behind is told from it."""

import threading
from collections.abc import Callable, Iterable

from streams.log import Log, LogError, Place

LOOK_SECONDS = 5.0

Places = Callable[[], Iterable[Place]]


class Ends:
    """As of the last look; nothing where the log could not be asked, so that no old figure passes for a new one.

    `reached`: whether it could, None before the first look.
    """

    def __init__(self) -> None:
        self._wanted: tuple[Places, ...] = ()
        self._known: dict[Place, int] = {}
        self.reached: bool | None = None

    def want(self, places: Places) -> None:
        """These too, whatever they are at each look."""
        self._wanted += (places,)

    def behind(self, place: Place, position: int) -> int | None:
        """Records from this position on; None where it is not known."""
        end = self._known.get(place)
        return None if end is None else max(end - position, 0)

    def follow(self, log: Log, stop: threading.Event) -> None:
        """Look until told to stop."""
        while True:
            self.look(log)
            if stop.wait(LOOK_SECONDS):
                return

    def look(self, log: Log) -> None:
        """Look once."""
        try:
            self._known = {place: log.end(place) for wanted in self._wanted for place in wanted()}
            self.reached = True
        except LogError:  # who reads there says why; here it is a figure
            self._known = {}
            self.reached = False
