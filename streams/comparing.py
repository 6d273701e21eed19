"""What a replay says against what stands in the topics: the same records, byte for byte, each once, and no others."""

from collections.abc import Iterator, Sequence
from hashlib import sha256

import msgspec

from coordinator.audit import TARGETS, WRITTEN_BY_MACHINES
from schemas.log import SCHEMA_VERSION, Cause
from schemas.topics import Topic, members
from streams.caused import Caused, Rank, cause_of, caused_by, records
from streams.log import Append, Log, Place
from streams.marks import Marks, is_new

KEPT = 1_000  # differences that are kept in full; the others are counted
EXCERPT = 120  # characters of a record that are shown


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """Something that should not be. `invariant`: its number; `place` and `offset`: where it shows.

    `cause`: what it follows from, or should. `expected`, `found`: the bytes around where the two begin to differ.
    """

    invariant: int
    place: str
    offset: int
    text: str
    cause: str = ""
    expected: str = ""
    found: str = ""


class Findings:
    """What was found to be wrong: the first of it in full, all of it counted."""

    def __init__(self) -> None:
        self.kept: list[Difference] = []
        self.count = 0

    def add(self, invariant: int, place: Place, offset: int, text: str, cause: str = "") -> None:
        """One more."""
        self.keep(Difference(invariant, str(place), offset, text, cause))

    def differs(self, place: Place, offset: int, text: str, cause: str, expected: bytes, found: bytes) -> None:
        """One more: what stands there is not what a replay says. Either is empty where there is nothing."""
        self.keep(Difference(9, str(place), offset, text, cause, *excerpts(expected, found)))

    def keep(self, difference: Difference) -> None:
        """Count it, and keep it if it is one of the first."""
        self.count += 1
        if len(self.kept) < KEPT:
            self.kept.append(difference)


def excerpts(expected: bytes, found: bytes) -> tuple[str, str]:
    """Both from shortly before the first byte in which they differ, in at most EXCERPT characters."""
    same = next((n for n, (one, other) in enumerate(zip(expected, found, strict=False)) if one != other), None)
    first = max(0, (min(len(expected), len(found)) if same is None else same) - EXCERPT // 4)
    return _excerpt(expected, first), _excerpt(found, first)


def _excerpt(value: bytes, first: int) -> str:
    text = value[first : first + EXCERPT].decode(errors="backslashreplace")[:EXCERPT]
    return f"{'…' if first else ''}{text}{'…' if first + EXCERPT < len(value) else ''}"


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


OF_A_MACHINE = b'{"v":%d,"cause":[' % SCHEMA_VERSION  # how its records begin
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
            if place.topic not in TARGETS or record.value.startswith(OF_A_MACHINE):
                findings.add(9, place, record.offset, "can't be read, so no machine wrote it like this")
            continue  # from outside: refused by its machine, as every reader of the log will see it
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
            self._missing(output, cause)
            return
        self._trimmed.discard(place)
        named = _named(self._source, there.rank)
        if (there.key, there.value) != (output.key, output.value):
            both = (output.value, there.value) if there.value != output.value else (_key(output.key), _key(there.key))
            self._findings.differs(place, there.offset, f"is not what follows from {named}", named, *both)
        elif not self._repeats.settle(place, cause, output.value):
            self._findings.add(9, place, there.offset, "was appended again with other bytes", named)
        else:
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

    def _missing(self, output: Append, cause: Cause) -> None:
        if output.place in self._trimmed:
            self.trimmed += 1
        else:
            named = _named(self._source, (cause.offset, cause.index))
            text = f"{output.place} lacks {named}"
            self._findings.differs(self._source, cause.offset, text, named, output.value, b"")

    def _extra(self, there: Caused) -> None:
        named = _named(self._source, there.rank)
        self._findings.differs(
            there.place, there.offset, f"nothing like it follows from {named}", named, b"", there.value
        )


def _key(key: str) -> bytes:
    return b"key " + key.encode()


def _named(source: Place, rank: Rank) -> str:
    return f"{source} offset {rank[0]}, output {rank[1]}"
