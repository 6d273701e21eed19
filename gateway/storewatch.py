"""Whether this machine reaches the content store of the log, known at once although a look may take for ever.

A network file system that hangs blocks who asks it. So a thread of its own does the asking.
"""

import threading
import time
from pathlib import Path

from store import identity

LOOK_SECONDS = 1.0
LONGEST_LOOK = 10.0  # seconds


class StoreWatch:
    """Looks at the store's marker below `root`, which has to hold the name `wanted`."""

    def __init__(self, root: Path, wanted: str) -> None:
        self._root = root
        self._wanted = wanted
        self._over = threading.Event()
        self._looked = time.monotonic()
        self._trouble: str | None = "the store was not looked at yet"

    def __enter__(self) -> "StoreWatch":
        threading.Thread(target=self._run, name="store watch", daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()

    def trouble(self) -> str | None:
        """Why the store can't be used now, in one line; None if it can."""
        silent = time.monotonic() - self._looked
        if silent > LONGEST_LOOK:
            return f"the store at {self._root} has not answered for {silent:.0f} s: is its server there?"
        return self._trouble

    def _run(self) -> None:
        while not self._over.is_set():
            self._trouble = identity.trouble(self._root, self._wanted)
            self._looked = time.monotonic()
            self._over.wait(LOOK_SECONDS)
