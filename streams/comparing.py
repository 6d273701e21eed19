"""What a replay says against what stands in the topics: the same records, byte for byte, each once, and no others."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

import msgspec

from coordinator.audit import WRITTEN_BY_MACHINES
from schemas.log import Cause
from schemas.topics import Topic, members
from streams.caused import Caused, Rank, cause_of, caused_by, records
from streams.log import Append, Log, Place
from streams.marks import Marks, is_new

KEPT = 1_000  # differences that are kept in full; the others are counted


class Difference(msgspec.Struct, frozen=True):
    """Something that should not be. `invariant`: its number; `place` and `offset`: where it shows."""

    invariant: int
    place: str
    offset: int
    text: str


class Findings:
    """What was found to be wrong: the first of it in full, all of it counted."""

    def __init__(self) -> None:
        self.kept: list[Difference] = []
        self.count = 0

    def add(self, invariant: int, place: Place, offset: int, text: str) -> None:
        """One more."""
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(Difference(invariant, str(place), offset, text))


class Span(msgspec.Struct, frozen=True):
    """Which records of a partition are decided again: from `begin`, to before `until`, where its floor is."""

    log_id: str
    begin: int
    until: int


# --- One look at every record -----------------------------------------------------------------------------------------


class _Body(msgspec.Struct):
    type: str


class _Outline(msgspec.Struct):
    body: _Body
    cause: Cause | None = None


_OUTLINES = msgspec.json.Decoder(_Outline)
_MACHINES_OWN = {
    topic: {str(record.__struct_config__.tag) for record in members(topic) if record in WRITTEN_BY_MACHINES[topic]}
    for topic in Topic
}


class Repeats:
    """Records that were appended again, to be held against the first. `count`: how many there are."""

    def __init__(self) -> None:
        self._digests: dict[tuple[Place, Cause], set[bytes]] = {}
        self.count = 0

    def note(self, place: Place, cause: Cause, value: bytes) -> None:
        """A repeat was read."""
        self.count += 1
        self._digests.setdefault((place, cause), set()).add(sha256(value).digest())

    def settle(self, place: Place, cause: Cause, value: bytes) -> bool:
        """Whether the record that belongs to the cause is what all its repeats are."""
        digests = self._digests.pop((place, cause), None)
        return digests is None or digests == {sha256(value).digest()}

    def unsettled(self) -> Iterator[tuple[Place, Cause]]:
        """Repeats of nothing."""
        return iter(self._digests)


def survey(log: Log, place: Place, end: int, sources: dict[str, Span], repeats: Repeats, findings: Findings) -> int:
    """Look at every record before `end`: who may have written it, and whether it was there before; their number."""
    marks: Marks = {}
    count = 0
    for record in records(log, place, 0, end):
        count += 1
        try:
            outline = _OUTLINES.decode(record.value)
        except (msgspec.DecodeError, UnicodeDecodeError):
            continue  # refused by its machine, as every reader of the log will see it
        cause = outline.cause
        if cause is None:
            if outline.body.type in _MACHINES_OWN[place.topic]:
                findings.add(9, place, record.offset, f"{outline.body.type} names no cause, so no machine wrote it")
        elif cause.log_id not in sources:
            findings.add(9, place, record.offset, f"its cause is in {cause.log_id}, which is no partition of this log")
        elif not is_new(marks, cause):
            repeats.note(place, cause, record.value)
    return count


# --- One source against all its targets -------------------------------------------------------------------------------


class Comparison:
    """Holds what a runner of `source` appends against what the targets (place to end) hold because of it.

    `agreed`: outputs that stand where they should. `trimmed`: those that nobody can look at any more. `pending`:
    records that are there although the floor has not passed their cause yet.
    """

    def __init__(
        self, log: Log, source: Place, span: Span, targets: dict[Place, int], repeats: Repeats, findings: Findings
    ) -> None:
        self._source = source
        self._span = span
        self._repeats = repeats
        self._findings = findings
        self._there = {place: caused_by(log, place, end, span.log_id) for place, end in targets.items()}
        self._next: dict[Place, Caused | None] = {}
        self._trimmed = {place for place in targets if log.start(place) > 0}
        self.agreed = self.trimmed = self.pending = 0
        for place in targets:
            self._advance(place)
            while (there := self._next[place]) is not None and there.rank[0] < span.begin:
                self._advance(place)

    def take(self, outputs: Sequence[Append]) -> None:
        """What the runner appends, in order."""
        for output in outputs:
            self._take(output)

    def finish(self) -> None:
        """The runner is through: what is left over has no reason to be there, unless it is of after the floor."""
        for place in self._there:
            while (there := self._next[place]) is not None:
                if there.rank[0] < self._span.until:
                    self._extra(there)
                else:
                    self.pending += 1
                self._advance(place)

    def _take(self, output: Append) -> None:
        place = output.place
        cause = cause_of(output.value)
        assert cause is not None, "a runner's output names its cause"
        there = self._wind(place, (cause.offset, cause.index))
        if there is None:
            self._missing(place, cause)
            return
        self._trimmed.discard(place)
        if (there.key, there.value) != (output.key, output.value):
            self._findings.add(9, place, there.offset, f"is not what follows from {_named(self._source, there.rank)}")
        elif not self._repeats.settle(place, cause, output.value):
            self._findings.add(9, place, there.offset, "was appended again with other bytes")
        self.agreed += 1
        self._advance(place)

    def _wind(self, place: Place, rank: Rank) -> Caused | None:
        """The record at `place` that this rank caused; what stands before it has no reason to be there."""
        while (there := self._next[place]) is not None and there.rank < rank:
            self._extra(there)
            self._advance(place)
        return there if there is not None and there.rank == rank else None

    def _advance(self, place: Place) -> None:
        self._next[place] = next(self._there[place], None)

    def _missing(self, place: Place, cause: Cause) -> None:
        if place in self._trimmed:
            self.trimmed += 1
        else:
            rank = (cause.offset, cause.index)
            self._findings.add(9, self._source, cause.offset, f"{place} lacks {_named(self._source, rank)}")

    def _extra(self, there: Caused) -> None:
        self._findings.add(
            9, there.place, there.offset, f"nothing like it follows from {_named(self._source, there.rank)}"
        )


def _named(source: Place, rank: Rank) -> str:
    return f"{source} offset {rank[0]}, output {rank[1]}"
