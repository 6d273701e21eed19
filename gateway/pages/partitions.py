"""The partitions of the log: how far each is decided, projected, and kept as a checkpoint."""

from pathlib import Path

import msgspec

from schemas.topics import Topic
from streams.kept import kept_in_folder
from streams.log import Log, Place

DECIDED = (Topic.SETTINGS, Topic.TASKS, Topic.CLAIMS, Topic.WORK)


class Part(msgspec.Struct, frozen=True, kw_only=True):
    """A partition. Offsets; `done`: up to where its machine's outputs are in the log, null where it never was run.

    `checkpoint`: offset of the newest state that is kept where this process sees it, `checkpoint_at`: when it was
    written, ms since 1970; null: none.
    """

    topic: str
    number: int
    start: int
    end: int
    done: int | None = None
    checkpoint: int | None = None
    checkpoint_at: int | None = None

    @property
    def lag(self) -> int | None:
        """Records that are not decided, or not projected, yet."""
        return None if self.done is None else max(self.end - self.done, 0)


class Partitions:
    """`checkpoints`: the folder that all coordinators share."""

    def __init__(self, checkpoints: Path) -> None:
        self._checkpoints = checkpoints

    def look(self, log: Log) -> tuple[Part, ...]:
        """Every partition. Raises LogError."""
        return tuple(
            self._part(log, Place(topic, number)) for topic in Topic for number in range(log.partitions(topic))
        )

    def _part(self, log: Log, place: Place) -> Part:
        about = {"topic": str(place.topic), "number": place.partition, "start": log.start(place), "end": log.end(place)}
        if place.topic not in DECIDED:
            return msgspec.convert(about, Part)
        floor = log.floor(f"{place.topic}-machine", place)
        offset, written = self._newest(place)
        return msgspec.convert(
            about | {"done": floor.offset if floor else None, "checkpoint": offset, "checkpoint_at": written}, Part
        )

    def _newest(self, place: Place) -> tuple[int | None, int | None]:
        try:
            newest = max(kept_in_folder(self._checkpoints)(place), key=lambda kept: kept.offset, default=None)
            return (newest.offset, int(Path(newest.name).stat().st_mtime * 1000)) if newest else (None, None)
        except FileNotFoundError:  # removed meanwhile, as a newer one is there
            return None, None
