"""Whether this machine reaches the content store of the log, known at once although a look may take for ever.

A network file system that hangs blocks who asks it. So a thread of its own does the asking.
"""

import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Self

from store import identity

LOOK_SECONDS = 1.0
LONGEST_LOOK = 10.0  # seconds


class StoreWatch:
    """Looks again and again. `look`: why the store can't be used, in one line; None if it can."""

    def __init__(self, place: str, look: Callable[[], str | None]) -> None:
        self._place = place
        self._look = look
        self._over = threading.Event()
        self._looked = time.monotonic()
        self._trouble: str | None = "the store was not looked at yet"

    @classmethod
    def of_folder(cls, root: Path, wanted: str) -> Self:
        """Looks at the marker below `root`, which has to hold the name `wanted`."""
        return cls(str(root), lambda: identity.trouble(root, wanted))

    def __enter__(self) -> Self:
        threading.Thread(target=self._run, name="store watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def trouble(self) -> str | None:
        """Why the store can't be used now, in one line; None if it can."""
        silent = time.monotonic() - self._looked
        if silent > LONGEST_LOOK:
            return f"the store at {self._place} has not answered for {silent:.0f} s: is its server there?"
        return self._trouble

    def _run(self) -> None:
        while not self._over.is_set():
            self._trouble = self._look()
            self._looked = time.monotonic()
            self._over.wait(LOOK_SECONDS)
