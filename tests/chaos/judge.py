"""When all is over: does everything hold, by the topics alone and by what was counted outside?

Three look at it: the shipped audit; the simulator's model, which shares no code with the machines; and the list of
sandboxes that were really started, which the system did not write.
"""

from collections import Counter
from collections.abc import Iterator
from hashlib import sha256
from itertools import takewhile
from math import inf
from pathlib import Path
from typing import Any, NamedTuple

from gateway.machines import machines
from schemas import assignments as a
from schemas import claims as c
from schemas import facts as f
from schemas.codec import Undecodable, decode
from schemas.log import Cause
from schemas.topics import Topic
from streams.archive import CHECKPOINTS, ArchiveLog
from streams.audit import Report, verify
from streams.kept import KeptStates, kept_in_folder
from streams.log import Log, Place, Stored
from streams.replaying import places_of
from tests.chaos.signs import Signs
from tests.chaos.town import BROKER_JUMP
from tests.simulation.model import Model

FLOW = list(Topic)
CLOCK = 0.05  # seconds by which the broker's clock and another may be read apart


class Start(NamedTuple):
    """What was really started: for which token (its digest), a sandbox of which task or which container, when."""

    name: str
    what: str
    at: float


class Judge:
    """Reads what is archived of the log, again and again, into the model. Raises Broken for the first that is wrong."""

    def __init__(self, log: Log) -> None:
        places = [place for topic in Topic for place in places_of(log, topic)]
        trimmed = [str(place) for place in places if log.start(place)]
        assert not trimmed, f"{trimmed} were trimmed: the model has to see all"
        self._signs = Signs()
        self.model = Model({place: log.read(place, 0, 1)[0] for place in places})
        self._next = dict.fromkeys(places, 1)
        self._began = min(first.time for first in (log.read(place, 0, 1)[0] for place in places))
        self._times: dict[str, float] = {}  # when each token was announced
        self._granted: dict[str, float] = {}
        self._assigned: dict[str, str] = {}  # to which incarnation first
        self._done: set[str] = set()
        self.spans: list[tuple[float, float]] = []  # of executions, from grant to end
        self.counts: Counter[str] = Counter()

    def read(self, log: Log, until: float = inf) -> int:
        """Take in what is new; how many records.

        `until` (seconds since 1970): before what is here was read off the log. What came while it was read may be here
        in one topic and not yet in another that it rests on, as an executor's records name no cause.
        """
        count = 0
        places = {part.log_id: part.place for part in self.model.parts.values()}
        for place, stored in in_order(log, self._next, places, self._began, until):
            body = self._note(place, stored)
            self.model.landed(place, stored)
            self._signs.landed(body)
            count += 1
        return count

    def _note(self, place: Place, stored: Stored) -> Any:
        body = getattr(decode(place.topic, stored.value), "body", None)
        at = true_time(stored.time, self._began) / 1000
        self.counts[f"{place.topic} {type(body).__name__}"] += 1
        if isinstance(body, f.Granted):
            self._granted.setdefault(body.token, at)
        elif isinstance(body, a.Assigned):
            self._assigned.setdefault(body.work.token, body.incarnation)
        elif isinstance(body, c.Started):
            self._times.setdefault(body.token, at)
        elif isinstance(body, f.ExecutionChanged) and body.status not in ("granted", "running", "impure"):
            self.spans.append((self._granted.get(body.token, at), at))
            if body.status == "done":
                self._done.add(body.token)
        return body

    def in_flight(self, begin: float, end: float) -> bool:
        """Whether an execution was granted and had not ended at any moment between these."""
        return any(first <= end and begin <= last for first, last in self.spans)

    def count_starts(self, file: Path) -> int:
        """Hold what was counted outside against the log (invariant 11); how many starts."""
        starts = [Start(mark.rpartition(".")[2], what, float(at)) for mark, what, at in _lines(file)]
        tokens = {sha256(token.encode()).hexdigest()[:16]: token for token in self._granted}
        ran: set[str] = set()
        for start in starts:
            token = tokens.get(start.name)
            assert token is not None, f"invariant 11: {start} has no grant in the log"
            assert token not in ran, f"invariant 11: {token} was started twice"
            ran.add(token)
            self._check_start(token, start.at)
        assert self._done <= ran, f"invariant 11: {sorted(self._done - ran)[:3]} are done and never ran"
        return len(starts)

    def _check_start(self, token: str, at: float) -> None:
        """Whoever was first given it announced it before: whoever had it from there on found it running."""
        announced = token, self._assigned.get(token, "")
        assert announced in self.model.work.announced, f"invariant 11: {token} was started and never announced"
        early = self._times[token] - at
        assert early < CLOCK, f"invariant 11: {token} was started {early:.3f} s before it was announced"


def _lines(file: Path) -> Iterator[list[str]]:
    return (line.split(" ") for line in file.read_text().splitlines())


def true_time(time: int, began: int) -> int:
    """When a record was appended (ms since 1970), whichever way the broker's clock had jumped by then."""
    jump = BROKER_JUMP * 1000
    return began + (time - began + jump // 2) % jump - jump // 2


def in_order(
    log: Log, positions: dict[Place, int], places: dict[str, Place], began: int, until: float = inf
) -> Iterator[tuple[Place, Stored]]:
    """Records from these positions on, which advance: no effect before its cause, else by time of append.

    What has a cause that is not there yet is left for the next time, and all that came after `until` (seconds since
    1970). `began`: time of the first record of all.
    """
    heads: dict[Place, Iterator[Stored]] = {
        place: takewhile(lambda stored: true_time(stored.time, began) < until * 1000, _records(log, place, at))
        for place, at in positions.items()
    }
    waiting: dict[Place, Stored] = {}
    for place in heads:
        _advance(heads, waiting, place)
    while True:
        able = [place for place, stored in waiting.items() if _may_land(place, stored, positions, places)]
        if not able:
            return
        place = min(able, key=lambda one: (true_time(waiting[one].time, began), FLOW.index(one.topic)))
        stored = waiting.pop(place)
        positions[place] = stored.offset + 1
        yield place, stored
        _advance(heads, waiting, place)


def _advance(heads: dict[Place, Iterator[Stored]], waiting: dict[Place, Stored], place: Place) -> None:
    stored = next(heads[place], None)
    if stored is not None:
        waiting[place] = stored


def _may_land(place: Place, stored: Stored, positions: dict[Place, int], places: dict[str, Place]) -> bool:
    envelope = decode(place.topic, stored.value)
    cause: Cause | None = None if isinstance(envelope, Undecodable) else envelope.cause
    return cause is None or positions[places[cause.log_id]] > cause.offset


def _records(log: Log, place: Place, start: int) -> Iterator[Stored]:
    end = log.end(place)
    while start < end:
        batch = log.read(place, start, 500)
        yield from batch
        start = batch[-1].offset + 1


def audited(archive: Path, kept: KeptStates) -> Report:
    """The shipped audit of what is archived, and of the states that the town's processes have kept."""
    log = ArchiveLog(archive)

    def both(place: Place) -> Iterator[object]:
        yield from kept_in_folder(archive / CHECKPOINTS)(place)
        yield from kept(place)

    return verify(log, machines(log), both)  # type: ignore[arg-type]
