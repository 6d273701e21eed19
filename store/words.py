"""What running tasks have said so far: for each a small file beside the blocks of a store's folder, always replaced.

Whoever shares the folder can read it while the task runs. It is for looking at, not for keeping: what a task said is
content, with a hash, when it has ended. A file belongs to one execution, by its token's name, so that what one says
whose work was given away stands nowhere that anybody looks.
"""

import hashlib
import os
import secrets
from contextlib import suppress
from pathlib import Path

import msgspec

from store.errors import StoreUnreachable
from store.folder import faults, require_marker

FOLDER = ".words"
KEPT = 16 * 2**20  # bytes of what a task said that are kept when it has ended, half of them beginning and half end
MOST = 64 * 1024  # bytes of the end that are shown while it runs
DIGITS = 20  # of the number of bytes, at most
LONGEST = MOST + 32  # bytes of a file, or of what is sent: the end, after a line that says how much was said


class Words(msgspec.Struct, frozen=True, kw_only=True):
    """The end of what was said. `total`: bytes from the beginning on."""

    total: int
    end: bytes

    @property
    def is_whole(self) -> bool:
        """Whether the end is all there was."""
        return len(self.end) == self.total

    def after(self, told: int) -> tuple[int, bytes]:
        """What follows the first `told` bytes: how many are not kept any more, and those that are."""
        new = self.total - told
        return max(new - len(self.end), 0), self.end[-new:] if new > 0 else b""


def name_of(token: str) -> str:
    """What an execution's files are called: 16 hexadecimal digits."""
    return hashlib.sha256(token.encode()).hexdigest()[:16]


def encode(words: Words) -> bytes:
    """As they stand in a file, and are sent; of the end no more than is shown."""
    return b"%d\n" % words.total + words.end[-MOST:]


def decode(said: bytes) -> Words | None:
    """None: no executor wrote this."""
    total, line, end = said.partition(b"\n")
    if not (line and total.isdigit() and len(total) <= DIGITS and len(said) <= LONGEST):
        return None
    return Words(total=int(total), end=end)


class FolderWords:
    """See `SpokenWords`: in a store's folder."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._folder = root / FOLDER

    def put(self, name: str, words: Words) -> None:
        """In place of what was there. Not synced: what a power cut takes, it takes from a task that it ends too."""
        draft = self._folder / f"{name}.{os.getpid()}.{secrets.token_hex(4)}"
        with faults(self._root):
            require_marker(self._root)
            self._folder.mkdir(exist_ok=True)
            try:
                draft.write_bytes(encode(words))
                draft.replace(self._folder / name)
            finally:
                draft.unlink(missing_ok=True)

    def get(self, name: str) -> Words | None:
        """None: nothing was said, or it is over."""
        with faults(self._root):
            try:
                with (self._folder / name).open("rb") as file:
                    said = file.read(LONGEST)
            except FileNotFoundError:
                require_marker(self._root)
                return None
        if (words := decode(said)) is None:
            raise StoreUnreachable(str(self._root), f"{FOLDER}/{name} is not what an executor writes")
        return words

    def remove(self, name: str) -> None:
        """Nothing happens if there is nothing."""
        with faults(self._root):
            try:
                (self._folder / name).unlink()
            except FileNotFoundError:
                require_marker(self._root)

    def sweep(self, before_ns: int) -> int:
        """Remove what executors that died left, last touched before a time (ns since the epoch); says how many."""
        removed = 0
        with faults(self._root):
            for path in self._folder.iterdir() if self._folder.is_dir() else ():
                with suppress(FileNotFoundError):  # who said it took it back
                    if path.stat().st_mtime_ns < before_ns:
                        path.unlink()
                        removed += 1
        return removed
