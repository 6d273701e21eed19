"""State larger than memory, and how soon a coordinator decides again: `./run bench state [--fingerprints N]`.

One story per fingerprint, as `bench rules` has it: granted, one waits, started, exited (and the waiter gets the copy),
one reuses. The records are made as they are read, and the time that takes is not counted. The partitions share one
process, as in a coordinator. Each part runs in a process of its own, so that resident memory is that of the part:

- replay: every record decided again from the first one on, into an empty local store, with snapshots on the way
- start: a new process, from its local store to the first decision on a new record, which is appended
- snapshot: the first partition written as a shared snapshot, and read into an empty local store on another node
- in memory: the rows as a dict, for fewer fingerprints
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import lru_cache
from hashlib import sha256
from pathlib import Path

from bench.rules import SPEC
from coordinator.claims import Claims
from schemas.claims import Exited, Requested, Started
from schemas.codec import encode
from schemas.fields import Record
from schemas.log import Cause, Genesis
from schemas.topics import Topic
from streams.checkpoints import MemoryCheckpoints
from streams.localstore import LocalStore
from streams.log import Append, Floor, Place, Stored, to_stored
from streams.loop import BATCH, Runner
from streams.memory import MemoryLog
from streams.snapshots import SharedSnapshots

PARTITIONS = 8
TOGETHER = 1_000  # fingerprints whose stories overlap
STEPS = 5
LOG_ID, SOURCE = "a" * 32, "b" * 32
OWNER = "zzzzz-tpzed-000000000000000"
OUTPUT = "d41d8cd98f00b204e9800998ecf8427e+0"
IN_MEMORY = 100_000
LOOKS = 4


class StoryLog(MemoryLog):
    """A log whose `claims` hold the stories of so many fingerprints, and `more` further requests; nothing is kept."""

    def __init__(self, fingerprints: int, floor: int | None = None, more: int = 0) -> None:
        super().__init__()
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
        body = _body(place.partition, offset) if offset < self._told else _request(place.partition, 2**40 + offset, "n")
        value = encode(body, Cause(SOURCE, offset, 0))
        return to_stored((offset, 0, body.fingerprint, value))  # type: ignore[attr-defined]


def _body(partition: int, offset: int) -> Record:
    """What stands at this offset: the stories of some fingerprints step by step, then those of the next."""
    block, rank = divmod(offset - 1, TOGETHER * STEPS)
    step, within = divmod(rank, TOGETHER)
    number = block * TOGETHER + within
    if step in (0, 1, 4):
        return _request(partition, number, "ab--c"[step])
    granted = 1 + block * TOGETHER * STEPS + within
    token, fingerprint = _token(partition, number, granted), _fingerprint(partition, number)
    if step == 2:
        return Started(fingerprint=fingerprint, token=token, node="n1", incarnation="i1", runner="docker")
    return Exited(fingerprint=fingerprint, token=token, node="n1", exit_code=0, output=OUTPUT)


def _request(partition: int, number: int, who: str) -> Requested:
    name = f"{who}{partition:02d}{number:012d}"
    task, root = f"zzzzz-8i9sb-{name}", f"zzzzz-8i9sb-{name[::-1]}"
    return Requested(fingerprint=_fingerprint(partition, number), task=task, root=root, owner=OWNER, spec=SPEC)


@lru_cache(TOGETHER * PARTITIONS * 2)
def _fingerprint(partition: int, number: int) -> str:
    return sha256(b"%d %d" % (partition, number)).hexdigest()


@lru_cache(TOGETHER * PARTITIONS * 2)
def _token(partition: int, number: int, offset: int) -> str:
    value = encode(_request(partition, number, "a"), Cause(SOURCE, offset, 0))
    return f"{LOG_ID}{Place(Topic.CLAIMS, partition)}.{offset}.0.{sha256(value).hexdigest()[:16]}"


# --- The parts, each in a process of its own --------------------------------------------------------------------------


def replay(folder: Path, each: int) -> None:
    """Decide every record again, the partitions in turn."""
    log, local, shared = StoryLog(each), LocalStore(folder / "local"), SharedSnapshots(folder / "shared")
    before = _resident()
    runners = [Runner(log, Claims, number, shared, local=local) for number in range(PARTITIONS)]
    began, wall, sizes = time.process_time(), time.perf_counter(), []
    for look in range(1, LOOKS + 1):
        for runner in runners:
            while runner.position < log.end(runner.place) * look // LOOKS and runner.poll(BATCH):
                pass
        sizes.append(_resident())
    for runner in runners:
        runner.checkpoint()
    spent = time.process_time() - began - log.reading
    assert log.appended == 0, "a replay below the floor says nothing"
    local.close()
    records, fingerprints = log.end(runners[0].place) * PARTITIONS, each * PARTITIONS
    _tell("replay, records/s of processor time", f"{records / spent:,.0f}")
    _tell("replay, s of wall time (with the making of the records)", f"{time.perf_counter() - wall:,.0f}")
    _tell("resident after each quarter, MB", ", ".join(f"{size / 1e6:,.0f}" for size in sizes))
    _tell("resident per fingerprint, B", f"{(sizes[-1] - before) / fingerprints:,.0f}")
    _tell("last quarter's growth per fingerprint, B", f"{(sizes[-1] - sizes[-2]) / (fingerprints / LOOKS):,.1f}")
    _tell("on disk per fingerprint, B", f"{_on_disk(folder / 'local') / fingerprints:,.0f}")


def start(folder: Path, each: int, launched: float) -> None:
    """From the local store to the first decision."""
    log = StoryLog(each, floor=1 + STEPS * each, more=1)
    began = time.perf_counter()
    local = LocalStore(folder / "local")
    runner = Runner(log, Claims, 0, MemoryCheckpoints(), local=local)
    assert runner.position == 1 + STEPS * each, f"the local store is at {runner.position}"
    runner.poll()
    decided, passed = time.perf_counter() - began, time.time() - launched
    assert log.appended == 3, f"{log.appended} records follow from a new request"
    others = [Runner(log, Claims, number, MemoryCheckpoints(), local=local) for number in range(1, PARTITIONS)]
    for other in others:
        other.poll()
    _tell("first decision from the local store, ms", f"{decided * 1000:,.0f}")
    _tell("the same since the process was launched, ms", f"{passed * 1000:,.0f}")
    _tell("first decision of the last of all partitions, ms", f"{(time.perf_counter() - began) * 1000:,.0f}")
    local.close()


def snapshot(folder: Path, each: int) -> None:
    """Write a partition as others may start from it, and start from it."""
    log, local, shared = StoryLog(each), LocalStore(folder / "local"), SharedSnapshots(folder / "one")
    runner = Runner(log, Claims, 0, MemoryCheckpoints(), local=local)
    before, began = _resident(), time.perf_counter()
    shared.keep(runner.header(), runner.machine)
    written = time.perf_counter() - began
    local.close()
    new = LocalStore(folder / "new")
    began = time.perf_counter()
    taken = Runner(log, Claims, 0, shared, local=new)
    assert taken.position == runner.position, f"the snapshot is at {taken.position}"
    _tell("snapshot written, rows/s", f"{each / written:,.0f}")
    _tell("snapshot checked and read by a new node, rows/s", f"{each / (time.perf_counter() - began):,.0f}")
    _tell("snapshot, B per fingerprint", f"{shared.paths(runner.place)[0].stat().st_size / each:,.0f}")
    _tell("resident, added by writing and reading it, MB", f"{(_resident() - before) / 1e6:,.0f}")
    new.close()


def memory(each: int) -> None:
    """The rows as a dict."""
    log = StoryLog(each)
    before = _resident()
    runner = Runner(log, Claims, 0, MemoryCheckpoints(), every=2**62)
    began = time.process_time()
    while runner.poll(BATCH):
        pass
    spent = time.process_time() - began - log.reading
    _tell(f"in memory, {each:,} fingerprints: replay, records/s", f"{log.end(runner.place) / spent:,.0f}")
    _tell("in memory: resident per fingerprint, B", f"{(_resident() - before) / each:,.0f}")


def _tell(name: str, figure: str) -> None:
    print(f"{name:<58}{figure:>24}", flush=True)


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="./run bench state", description=__doc__.splitlines()[0])
    parser.add_argument("--fingerprints", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to keep it meanwhile (a temporary folder)")
    parser.add_argument("--part", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    each = arguments.fingerprints // PARTITIONS // TOGETHER * TOGETHER
    if each == 0:
        parser.error(f"--fingerprints: at least {PARTITIONS * TOGETHER}")
    if arguments.part:
        _run_part(json.loads(arguments.part), arguments.folder, each)
        return
    _tell("fingerprints", f"{each * PARTITIONS:,} in {PARTITIONS} partitions")
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-state-", dir=arguments.folder) as folder:
        for part in ("replay", "start", "snapshot", "memory"):
            told = ["--fingerprints", str(arguments.fingerprints), "--folder", folder]
            command = [sys.executable, "-m", "bench.state", *told, "--part", json.dumps([part, time.time()])]
            subprocess.run(command, check=True)


def _run_part(part: tuple[str, float], folder: Path, each: int) -> None:
    name, launched = part
    if name == "replay":
        replay(folder, each)
    elif name == "start":
        start(folder, each, launched)
    elif name == "snapshot":
        snapshot(folder, each)
    else:
        memory(min(each * PARTITIONS, IN_MEMORY))


if __name__ == "__main__":
    main()
