"""A log that makes its records as they are read: the same short story for each of so many fingerprints."""

import time
from collections.abc import Iterator, Sequence
from functools import lru_cache
from hashlib import sha256

from bench.rules import SPEC
from coordinator.claims import Claims
from schemas.claims import Exited, Requested, Started
from schemas.codec import encode
from schemas.fields import Record
from schemas.log import Cause, Genesis
from schemas.topics import Topic
from streams.checkpoints import MemoryCheckpoints
from streams.log import Append, Floor, Place, Stored, to_stored
from streams.loop import Runner
from streams.memory import MemoryLog
from streams.state import EncodedRow, encoded_rows

PARTITIONS = 8
TOGETHER = 1_000  # fingerprints whose stories overlap
STEPS = 5
LOG_ID, SOURCE = "a" * 32, "b" * 32
OWNER = "zzzzz-tpzed-000000000000000"
SCATTER = 7_919  # no neighbours are asked for one after another
OUTPUT = "d41d8cd98f00b204e9800998ecf8427e+0"


class StoryLog(MemoryLog):
    """A log whose `claims` hold the stories of so many fingerprints, and `more` further requests; nothing is kept.

    The further requests are for what is new, with `known` by turns for what one of the stories was about.
    """

    def __init__(self, fingerprints: int, floor: int | None = None, more: int = 0, *, known: bool = False) -> None:
        super().__init__()
        self._known = fingerprints if known else 0
        self._end = 1 + STEPS * fingerprints + more
        self._told = 1 + STEPS * fingerprints
        self._floor = self._end if floor is None else floor
        self.reading = 0.0  # seconds of processor time
        self.appended = 0

    def partitions(self, topic: Topic) -> int:
        """As many of each topic."""
        return PARTITIONS

    def genesis(self, place: Place) -> Genesis:
        """The partition's first record."""
        log_id = f"{LOG_ID}{place}"
        return Genesis(log_id=log_id, topic=place.topic, partition=place.partition, partitions=PARTITIONS)

    def start(self, place: Place) -> int:
        """Nothing is trimmed."""
        return 0

    def end(self, place: Place) -> int:
        """Offset that the next record of a partition would get."""
        return self._end

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """The records, made now."""
        began = time.process_time()
        records = [self._record(place, at) for at in range(offset, min(offset + limit, self._end))]
        self.reading += time.process_time() - began
        return records

    def append(self, records: Sequence[Append]) -> list[int]:
        """Count what is appended."""
        self.appended += len(records)
        return [0] * len(records)

    def floor(self, reader: str, place: Place) -> Floor:
        """Everything is in the log but what `more` leads to."""
        before = sha256(self._record(place, self._floor - 1).value).hexdigest()
        return Floor(self._floor, before, f"{LOG_ID}{place}")

    def move_floor(self, reader: str, place: Place, floor: Floor) -> None:
        """It stays where it is."""

    def _record(self, place: Place, offset: int) -> Stored:
        if offset == 0:
            return Stored(0, 0, "", encode(self.genesis(place)))
        body = _body(place.partition, offset) if offset < self._told else self._asked(place.partition, offset)
        value = encode(body, Cause(SOURCE, offset, 0))
        return to_stored((offset, 0, body.fingerprint, value))  # type: ignore[attr-defined]

    def _asked(self, partition: int, offset: int) -> Requested:
        if self._known and offset % 2:
            return _request(partition, offset * SCATTER % self._known, "d")
        return _request(partition, 2**40 + offset, "n")


def rows(partition: int, each: int) -> Iterator[EncodedRow]:
    """What the stories leave in a claims machine, in order of their keys, without deciding them.

    Like the real ones in all but the digests in their tokens, which cost as much as deciding.
    """
    template = _template(partition)
    for fingerprint, number in sorted((fingerprint_of(partition, number), number) for number in range(each)):
        task, root = _names(partition, number, "a")
        token = f"{LOG_ID}claims/{partition}.{_granted(number)}.0.{fingerprint[:16]}"
        values = {"fingerprint": fingerprint, "token": token, "task": task, "root": root}
        yield fingerprint, template % {name.encode(): value.encode() for name, value in values.items()}


def _template(partition: int) -> bytes:
    """The row of a story that was decided, with the names of what is each one's own."""
    runner = Runner(StoryLog(TOGETHER), Claims, partition, MemoryCheckpoints(), every=2**62)
    while runner.poll():
        pass
    row = dict(encoded_rows(runner.machine))[fingerprint_of(partition, 0)]
    task, root = _names(partition, 0, "a")
    own = {"fingerprint": fingerprint_of(partition, 0), "token": _token(partition, 0), "task": task, "root": root}
    for name, value in own.items():
        row = row.replace(value.encode(), b"%%(%b)b" % name.encode())
    return row


def _body(partition: int, offset: int) -> Record:
    """What stands at this offset: the stories of some fingerprints step by step, then those of the next."""
    block, rank = divmod(offset - 1, TOGETHER * STEPS)
    step, within = divmod(rank, TOGETHER)
    number = block * TOGETHER + within
    if step in (0, 1, 4):
        return _request(partition, number, "ab--c"[step])
    token, fingerprint = _token(partition, number), fingerprint_of(partition, number)
    if step == 2:
        return Started(fingerprint=fingerprint, token=token, node="n1", incarnation="i1", runner="docker")
    return Exited(fingerprint=fingerprint, token=token, node="n1", exit_code=0, output=OUTPUT)


def _request(partition: int, number: int, who: str) -> Requested:
    task, root = _names(partition, number, who)
    return Requested(fingerprint=fingerprint_of(partition, number), task=task, root=root, owner=OWNER, spec=SPEC)


def _names(partition: int, number: int, who: str) -> tuple[str, str]:
    name = f"{who}{partition:02d}{number:012d}"
    return f"zzzzz-8i9sb-{name}", f"zzzzz-8i9sb-{name[::-1]}"


def _granted(number: int) -> int:
    """Offset of the request that a story begins with."""
    block, within = divmod(number, TOGETHER)
    return 1 + block * TOGETHER * STEPS + within


@lru_cache(TOGETHER * PARTITIONS * 2)
def fingerprint_of(partition: int, number: int) -> str:
    """What a partition's story of this number is about."""
    return sha256(b"%d %d" % (partition, number)).hexdigest()


@lru_cache(TOGETHER * PARTITIONS * 2)
def _token(partition: int, number: int) -> str:
    offset = _granted(number)
    value = encode(_request(partition, number, "a"), Cause(SOURCE, offset, 0))
    return f"{LOG_ID}{Place(Topic.CLAIMS, partition)}.{offset}.0.{sha256(value).hexdigest()[:16]}"
