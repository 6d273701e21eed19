"""States that somebody kept, as the audit looks at them: named one by one, read only when the replay has come there.

Whatever keeps states (files of this process, snapshots in a shared folder) gives a function from a place to what it
keeps of it. States may be large and many: nothing but their names and offsets is held in memory.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from coordinator.machine import Machine
from streams.checkpoints import Checkpoint, MemoryCheckpoints, Saved
from streams.log import Place
from streams.snapshots import DamagedSnapshot, NewerSnapshot, SharedSnapshots, Snapshot
from streams.state import state_hash


class Damaged(Exception):
    """What is kept there is not what was written; one line that names it."""


class Loaded(NamedTuple):
    """A state that was read. `is_of`: whether it is that of a machine."""

    saved: Saved
    is_of: Callable[[Machine], bool]


class Kept(NamedTuple):
    """A state before `offset`. `name`: where it is kept, for people.

    `load`: reads it; None if it was removed meanwhile, or is of another version's layout. Raises Damaged.
    """

    offset: int
    name: str
    load: Callable[[], Loaded | None]


KeptStates = Callable[[Place], Iterable[Kept]]
"""What is kept of a partition, in any order."""


def nothing_kept(_place: Place) -> Iterable[Kept]:
    """For who keeps no states."""
    return ()


def kept_in_memory(store: MemoryCheckpoints) -> KeptStates:
    """Those of this process."""

    def kept(place: Place) -> Iterator[Kept]:
        for one in store.load(place):
            yield Kept(one.offset, f"checkpoint {place} at {one.offset}", partial(_checkpoint, one))

    return kept


def kept_in_folder(root: Path) -> KeptStates:
    """Snapshots below `root`, which others may add to and remove meanwhile. Nothing is touched."""

    def kept(place: Place) -> Iterator[Kept]:
        for path in SharedSnapshots(root).paths(place):
            yield Kept(int(path.stem), str(path), partial(_read_snapshot, path))

    return kept


def _checkpoint(checkpoint: Checkpoint) -> Loaded:
    return Loaded(checkpoint, lambda machine: bytes(checkpoint.state) == machine.snapshot())


def _read_snapshot(path: Path) -> Loaded | None:
    try:
        snapshot = Snapshot(path)
        snapshot.check()
    except DamagedSnapshot as error:
        raise Damaged(str(error)) from error
    except (NewerSnapshot, FileNotFoundError):
        return None
    return Loaded(snapshot, lambda machine: state_hash(machine) == snapshot.header.state_hash)
