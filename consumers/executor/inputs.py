"""Collections as directories that tasks may look at but not touch.

A runner that isolates mounts them read-only, so one copy serves all tasks of the node and stays for the next ones, up
to a bound. Without isolation a task could change what others read, so each gets a copy of its own.
"""

import os
import stat
import threading
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path

from consumers.executor.removal import empty
from store.collections import CollectionStore

MAX_IDLE_BYTES = 20 * 2**30
_EXECUTABLE_STARTS = (b"#!", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xca\xfe\xba\xbe")


class InputCache:
    """Extracted collections under `root`, shared by the tasks that use them. `max_bytes`: kept when nobody does.

    `spare`: entries (`shown_as`) that a running task has before it already.
    """

    def __init__(
        self, collections: CollectionStore, root: Path, max_bytes: int = MAX_IDLE_BYTES, spare: Collection[str] = ()
    ) -> None:
        self._collections = collections
        self._root = root
        self._max_bytes = max_bytes
        self._lock = threading.Lock()
        self._entries: dict[str, _Entry] = {}  # in order of last use
        root.mkdir(parents=True, exist_ok=True)
        for past in root.iterdir():
            if past.name not in spare:
                remove_tree(past)

    @contextmanager
    def shown(self, pdh: str, executable: bool = False) -> Iterator[Path]:
        """The directory that shows a collection, there while the context is. `executable`: its programs can be run."""
        entry = self._take(shown_as(pdh, executable))
        try:
            with entry.lock:
                if not entry.path.exists():
                    entry.size = self._extract(pdh, entry.path, executable)
            yield entry.path
        finally:
            self._give_back(entry)

    def _take(self, name: str) -> "_Entry":
        with self._lock:
            entry = self._entries.pop(name, None) or _Entry(self._root / name)
            self._entries[name] = entry
            entry.users += 1
            return entry

    def _give_back(self, entry: "_Entry") -> None:
        with self._lock:
            entry.users -= 1
            idle = {name: held for name, held in self._entries.items() if not held.users}
            excess = sum(held.size for held in idle.values()) - self._max_bytes
            for name, held in idle.items():
                if excess > 0:
                    excess -= held.size
                    del self._entries[name]
                    remove_tree(held.path)

    def _extract(self, pdh: str, destination: Path, executable: bool) -> int:
        """All of it, or nothing under that name."""
        unfinished = destination.with_name(f"{destination.name}.new")
        remove_tree(unfinished)
        size = extract(self._collections, pdh, unfinished, executable)
        unfinished.rename(destination)
        return size


class _Entry:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.lock = threading.Lock()
        self.users = 0
        self.size = 0


def shown_as(pdh: str, executable: bool) -> str:
    """Name of a collection's directory in the cache."""
    return f"{pdh}.code" if executable else pdh


def extract(collections: CollectionStore, pdh: str, destination: Path, executable: bool) -> int:
    """Write a collection out; its bytes. `executable`: what looks like a program is made one, as Keep has no modes.

    Anybody may read it, whatever our umask is: the task may run as another user.
    """
    size = collections.extract(pdh, destination)
    is_open = stat.S_IMODE(destination.stat().st_mode) & 0o005 == 0o005
    if executable or not is_open:
        for folder, _, names in os.walk(destination):
            Path(folder).chmod(0o755)
            for name in names:
                file = Path(folder, name)
                file.chmod(0o555 if executable and _is_program(file) else 0o444)
    return size


def remove_tree(path: Path) -> None:
    """Remove a directory or a file, also where a task took its own permissions away."""
    if not os.path.lexists(path):
        return
    if not path.is_dir() or path.is_symlink():
        path.unlink()
        return
    empty(path)
    path.rmdir()


def _is_program(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(4).startswith(_EXECUTABLE_STARTS)
