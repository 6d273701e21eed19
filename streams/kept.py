"""States that somebody kept, as the audit looks at them: named one by one, read only when the replay has come there.

Whatever keeps states (files of this process, snapshots in a shared folder) gives a function from a place to what it
keeps of it. States may be large and many: nothing but their names and offsets is held in memory.
"""

from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import NamedTuple

from streams.checkpoints import Checkpoint, MemoryCheckpoints, is_whole, read_checkpoint
from streams.log import Place


class Damaged(Exception):
    """What is kept there is not what was written; one line that names it."""


class Kept(NamedTuple):
    """A state before `offset`. `name`: where it is kept, for people.

    `load`: reads it; None if it was removed meanwhile, or is of another version's layout. Raises Damaged.
    """

    offset: int
    name: str
    load: Callable[[], Checkpoint | None]


KeptStates = Callable[[Place], Iterable[Kept]]
"""What is kept of a partition, in any order."""


def nothing_kept(_place: Place) -> Iterable[Kept]:
    """For who keeps no states."""
    return ()


def kept_in_memory(store: MemoryCheckpoints) -> KeptStates:
    """Those of this process."""

    def kept(place: Place) -> Iterator[Kept]:
        for one in store.load(place):
            yield Kept(one.offset, f"checkpoint {place} at {one.offset}", partial(_itself, one))

    return kept


def kept_in_folder(root: Path) -> KeptStates:
    """Those that DirectoryCheckpoints keeps below `root`, meanwhile too. Nothing is touched."""

    def kept(place: Place) -> Iterator[Kept]:
        for path in (root / f"{place.topic}-{place.partition}").glob("*.json"):
            if path.stem.isdecimal():
                yield Kept(int(path.stem), str(path), partial(_read, path))

    return kept


def _itself(checkpoint: Checkpoint) -> Checkpoint:
    return checkpoint


def _read(path: Path) -> Checkpoint | None:
    try:
        checkpoint = read_checkpoint(path)
        if checkpoint is None and not is_whole(path):
            raise Damaged(f"{path} is damaged: its bytes are not those that were kept; remove it")
    except FileNotFoundError:
        return None
    return checkpoint
