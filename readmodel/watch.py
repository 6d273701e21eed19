"""Waiting for the read model to change: Postgres says so when the projector has committed, nobody has to ask again."""

import time
from collections.abc import Callable
from typing import TypeVar

from readmodel.connection import Connection, translated

T = TypeVar("T")


class Watch:
    """Hears of every change from now on. The connection is in autocommit mode and this watch's alone while it waits."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        with translated():
            connection.execute("listen rm")

    def wait(self, timeout: float) -> bool:
        """Whether something was projected since the last wait, waiting at most `timeout` seconds for it.

        Raises ReadModelError.
        """
        with translated():
            heard = list(self._connection.notifies(timeout=timeout, stop_after=1))
            heard += list(self._connection.notifies(timeout=0))
        return bool(heard)

    def until(self, ask: Callable[[], T | None], timeout: float) -> T | None:
        """What `ask` answers as soon as that is not None; None after `timeout` seconds. Raises ReadModelError."""
        deadline = time.monotonic() + timeout
        while (found := ask()) is None:
            left = deadline - time.monotonic()
            if left <= 0:
                return None
            self.wait(left)
        return found
