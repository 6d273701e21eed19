"""Where nemeses strike, and how they hold on."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from random import Random

from tests.chaos.resident import Resident
from tests.chaos.town import Town

PLACES = ("broker", "postgres", "disk", "visitors", "clock", "engine")
REST = 4.0  # seconds in which a part that was struck is left in peace: work has to get on between two strikes


class Field:
    """Where nemeses strike. `ending`: set when the storm is over: who holds on lets go."""

    def __init__(self, town: Town, seed: int) -> None:
        self.town = town
        self.random = Random(seed)
        self.ending = threading.Event()
        self._locks = {name: threading.Lock() for name in PLACES}

    def hold(self, seconds: float) -> bool:
        """Hold on for so long, or until it is over; whether it is."""
        return self.ending.wait(seconds)

    @contextmanager
    def alone(self, place: str) -> Iterator[None]:
        """Strike a part of the town that can't be struck twice at once, and leave it in peace for a while."""
        with self._locks[place]:
            yield
            self.hold(REST)

    def one(self, kind: str) -> Resident:
        """A resident of the kind, drawn."""
        return self.random.choice(self.town.of_kind(kind))
