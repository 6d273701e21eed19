"""An office that was busy, its log in an archive, and how to spoil files."""

from pathlib import Path

from schemas.topics import Topic
from streams.archive import path_of
from streams.archiving import archive
from streams.kept import KeptStates, kept_in_folder, kept_in_memory
from streams.log import Place
from streams.snapshots import SharedSnapshots
from tests.support.office import COUNTS, Office, machine_types
from tests.support.traffic import busy_office

WORK = Place(Topic.WORK, 0)


def archived_office(folder: Path, seed: int = 4) -> Office:
    office = busy_office(seed)
    archive(office.log, folder, kept_in_memory(office.checkpoints))
    return office


def keep_in(folder: Path, office: Office) -> KeptStates:
    """Every state that the office has kept, as snapshots in a folder."""
    kinds = {kind.topic: kind for kind in machine_types(COUNTS)}
    snapshots = SharedSnapshots(folder, keep=1_000)
    for place, kept in office.checkpoints.at.items():
        for checkpoint in kept:
            snapshots.keep(checkpoint.header, checkpoint.machine(kinds[place.topic]))
    return kept_in_folder(folder)


def flip(path: Path, at: int | None = None) -> None:
    """One bit of one byte, in the middle unless said."""
    content = bytearray(path.read_bytes())
    content[len(content) // 2 if at is None else at] ^= 1
    path.chmod(0o600)
    path.write_bytes(content)


def segment(folder: Path, place: Place) -> Path:
    """The file of the partition's last segment."""
    return max(path_of(folder, place, 0).parent.iterdir())
