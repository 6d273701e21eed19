"""What a killed executor left running, and who comes after it may go on with.

Beside each container that can be adopted stands a file with the work it does. Whether it is gone on with is decided
twice: here, by what can be known on the node, and by the dispatcher, which knows whether the work is still the node's.
"""

from collections.abc import Iterable
from pathlib import Path

import msgspec

from consumers.executor.keepmount import Sight
from consumers.executor.until import Until
from schemas.work import Ready
from store.words import name_of

FILE = "left.json"
_BOOT = Path("/proc/sys/kernel/random/boot_id")


class Left(msgspec.Struct, frozen=True, kw_only=True):
    """One attempt, as it was begun. `boot`: of the machine, for what its clock said."""

    ready: Ready
    moment: str  # file with the deadline that the executor had
    boot: str
    began: int  # ms of the monotonic clock
    started_at: int  # ms since 1970, for people
    container: str = ""  # its id
    sight: Sight = Sight()

    @property
    def name(self) -> str:
        """The attempt's."""
        return name_of(self.ready.token)


def remember(folder: Path, left: Left) -> None:
    """All of it or nothing is there, whenever we are killed."""
    unfinished = folder / f"{FILE}.new"
    unfinished.write_bytes(msgspec.json.encode(left))
    unfinished.rename(folder / FILE)


def recall(attempts: Path, names: Iterable[str], now: int) -> dict[str, Left]:
    """By token, those of these attempts whose executor's deadline has not passed. `now`: ms of the monotonic clock."""
    found = {}
    for name in names:
        left = _read(attempts / name / FILE)
        if left is not None and left.name == name and left.boot == boot() and now < _moment(left):
            found[left.ready.token] = left
    return found


def boot() -> str:
    """Tells this start of the machine from others; empty where the system has no such name."""
    return _BOOT.read_text().strip() if _BOOT.exists() else ""


def _read(file: Path) -> Left | None:
    """None: it was killed before it had begun, or other code wrote it."""
    try:
        return msgspec.json.decode(file.read_bytes(), type=Left)
    except (FileNotFoundError, msgspec.MsgspecError):
        return None


def _moment(left: Left) -> int:
    path = Path(left.moment)
    if not path.exists():
        return 0
    until = Until(path)
    try:
        return until.at
    finally:
        until.close()
