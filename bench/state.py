"""State larger than memory, and how soon a coordinator decides again: `./run bench state [--fingerprints N]`.

One story per fingerprint, as `bench rules` has it: granted, one waits, started, exited (and the waiter gets the copy),
one reuses. The records are made as they are read, and the time that takes is not counted. The partitions share one
process, as in a coordinator. Each part runs in a process of its own, so that resident memory is that of the part:

- replay: every record decided again from the first one on, into an empty local store, with snapshots on the way
- start: a new process, from its local store to the first decision on a new record, which is appended
- snapshot: the first partition written as a shared snapshot, and read into an empty local store on another node
- in memory: the rows as a dict, for fewer fingerprints

`--laid`: for so many fingerprints that to decide their records takes too long. Their rows are laid into the store,
and then there are `start` and:

- use: each partition decides further requests, half of them for fingerprints that are known, all over the store
"""

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from bench.common.stories import PARTITIONS, SOURCE, STEPS, TOGETHER, StoryLog, rows
from coordinator.claims import Claims
from coordinator.machine import RULES_VERSION
from schemas.topics import Topic
from streams.checkpoints import MemoryCheckpoints
from streams.localstore import LocalStore
from streams.log import Place
from streams.loop import BATCH, Runner
from streams.routes import Routes
from streams.snapshots import SharedSnapshots
from streams.state import Header

IN_MEMORY = 100_000
LOOKS = 4
USES = 10_000  # further requests, of each partition


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


def lay(folder: Path, each: int) -> None:
    """The rows and what they are the state of, as the replay would have left them."""
    log, local, began = StoryLog(each), LocalStore(folder / "local"), time.perf_counter()
    for number in range(PARTITIONS):
        place = Place(Topic.CLAIMS, number)
        state, floor = local.open(place), log.floor("", place)
        header = Header(
            topic=place.topic,
            partition=number,
            log_id=floor.log_id,
            targets=Routes(log).log_ids,
            offset=floor.offset,
            digest=floor.digest,
            rules=RULES_VERSION,
            marks={SOURCE: (floor.offset - 1, 0)},
        )
        state.commit(header, state.fill(Claims(), rows(number, each)))
    local.close()
    _tell("rows laid, s of wall time", f"{time.perf_counter() - began:,.0f}")
    _tell("on disk per fingerprint, B", f"{_on_disk(folder / 'local') / each / PARTITIONS:,.0f}")


def use(folder: Path, each: int) -> None:
    """What a coordinator takes that has decided for a while, and how fast it reads rows from the disk."""
    log, local = StoryLog(each, 1 + STEPS * each, USES, known=True), LocalStore(folder / "local")
    runners = [
        Runner(log, Claims, number, MemoryCheckpoints(), local=local, every=2**62) for number in range(PARTITIONS)
    ]
    opened, began, wall = _resident(), time.process_time(), time.perf_counter()
    for runner in runners:
        while runner.poll(BATCH):
            pass
        assert runner.position == log.end(runner.place), f"{runner.place} stands at {runner.position}"
    spent, passed = time.process_time() - began - log.reading, time.perf_counter() - wall
    _tell("resident with all partitions opened, MB", f"{opened / 1e6:,.0f}")
    _tell("resident after further requests, MB", f"{_resident() / 1e6:,.0f}")
    _tell("most that was ever resident, MB", f"{_peak() / 1e6:,.0f}")
    _tell("further requests, each s of processor time, of wall time", f"{_rate(spent)}, {_rate(passed)}")
    local.close()


def _rate(seconds: float) -> str:
    return f"{USES * PARTITIONS / seconds:,.0f}"


def _tell(name: str, figure: str) -> None:
    print(f"{name:<58}{figure:>24}", flush=True)


def _resident() -> int:
    """Bytes of this process in memory."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def _peak() -> int:
    """Most bytes of this process that ever were in memory."""
    return int(Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]) * 1024


def _on_disk(folder: Path) -> int:
    return sum(path.stat().st_blocks * 512 for path in folder.rglob("*") if path.is_file())


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="./run bench state", description=__doc__.splitlines()[0])
    parser.add_argument("--fingerprints", type=int, default=200_000)
    parser.add_argument("--folder", type=Path, help="where to keep it meanwhile (a temporary folder)")
    parser.add_argument("--laid", action="store_true", help="rows are laid into the store, not decided")
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
        for part in ("lay", "start", "use") if arguments.laid else ("replay", "start", "snapshot", "memory"):
            told = ["--fingerprints", str(arguments.fingerprints), "--folder", folder]
            command = [sys.executable, "-m", "bench.state", *told, "--part", json.dumps([part, time.time()])]
            subprocess.run(command, check=True)


def _run_part(part: tuple[str, float], folder: Path, each: int) -> None:
    name, launched = part
    if name == "start":
        start(folder, each, launched)
    elif name == "memory":
        memory(min(each * PARTITIONS, IN_MEMORY))
    else:
        {"replay": replay, "snapshot": snapshot, "lay": lay, "use": use}[name](folder, each)


if __name__ == "__main__":
    main()
