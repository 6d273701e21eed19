"""How fast the log is, and what the loop adds: `./run bench log [--records N] [--log postgres|kafka]`.

The log in Postgres or Kafka (of our own, started for this): appends of 1, 100 and 1,000 records by one writer, and
single ones by four writers at once; reads; how soon who waits is woken. The loop, around a machine that only answers
(all that a record costs besides its own rules): over this log and in memory.
"""

import argparse
import platform
import tempfile
import threading
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import ClassVar, TypeVar

from bench.common.logs import KINDS, fresh_log
from coordinator.machine import Output, Seen, answered
from schemas.claims import Requested
from schemas.codec import encode
from schemas.log import Cause
from schemas.topics import Topic
from streams.admin import EMBEDDED, create_topics
from streams.checkpoints import MemoryCheckpoints
from streams.embedded import EmbeddedPostgres
from streams.log import Append, Log, Place
from streams.loop import Runner
from streams.memory import MemoryLog
from streams.routes import Routes

WORK = Place(Topic.WORK, 0)
VALUE = b"x" * 300
RUNS = 3

T = TypeVar("T")


class Answering:
    """A machine without rules: every request is answered."""

    topic: ClassVar[Topic] = Topic.CLAIMS

    def step(self, seen: Seen) -> Iterator[Output]:
        """The answer, unless it is the Genesis."""
        if isinstance(seen.body, Requested):
            yield answered(seen.body.fingerprint)

    def snapshot(self) -> bytes:
        """It knows nothing."""
        return b"{}"

    @classmethod
    def restore(cls, snapshot: bytes) -> "Answering":
        """It knows nothing."""
        assert snapshot == b"{}"
        return cls()


def main() -> None:
    """Print the figures."""
    parser = argparse.ArgumentParser(prog="./run bench log", description=__doc__.splitlines()[0])
    parser.add_argument("--records", type=int, default=50_000)
    parser.add_argument("--log", choices=KINDS, default="postgres")
    options = parser.parse_args()
    number = options.records
    print(f"machine                 {platform.processor() or platform.machine()}, Python {platform.python_version()}")
    if options.log == "postgres":
        with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as folder:
            _bench_starts(Path(folder))
    with fresh_log(options.log) as log:
        _bench_server(log, number)
        _tell_loop(options.log, number, _run(log, number))
    _tell_loop("memory", number, _median(lambda: _run(MemoryLog(), number)))


def _bench_starts(folder: Path) -> None:
    server = EmbeddedPostgres(folder)
    first, _ = _timed(server.start)
    stop, _ = _timed(server.stop)
    later, _ = _timed(server.start)
    server.stop()
    print(f"Postgres                first start {first:.2f} s, later {later:.2f} s, stop {stop:.2f} s")


def _bench_server(log: Log, number: int) -> None:
    create_topics(log)
    for size in (1, 100, 1_000):
        calls = max(1, min(number // size, 300))
        seconds = _median(partial(_append, log, size, calls))
        rate, each = size * calls / seconds, seconds / calls * 1000
        print(f"append {size:>5,} at a time   {rate:>9,.0f} records/s, {each:.2f} ms an append")
    seconds, calls = _append_by_four(log, 200)
    print(f"append by four writers  {calls / seconds:>9,.0f} records/s, one at a time")
    seconds, records = _timed(lambda: _read_all(log))
    print(f"read 1,000 at a time    {records / seconds:>9,.0f} records/s")
    end = log.end(WORK)
    seconds = _median(lambda: [log.read(WORK, end, 1) for _ in range(200)])
    print(f"read at the end         {seconds / 200 * 1e6:>9,.0f} us")
    print(f"append to woken reader  {_wake(log, 100) * 1000:>9,.2f} ms (median)")


def _append(log: Log, size: int, calls: int) -> None:
    batch = [Append(WORK, "key", VALUE)] * size
    for _ in range(calls):
        log.append(batch)


def _append_by_four(log: Log, calls: int) -> tuple[float, int]:
    clones = [log.clone() for _ in range(4)]
    writers = [threading.Thread(target=_append, args=(clone, 1, calls)) for clone in clones]

    def run() -> None:
        for writer in writers:
            writer.start()
        for writer in writers:
            writer.join()

    seconds, _ = _timed(run)
    for clone in clones:
        clone.close()
    return seconds, 4 * calls


def _read_all(log: Log) -> int:
    position = 0
    while batch := log.read(WORK, position, 1_000):
        position += len(batch)
    return position


def _wake(log: Log, rounds: int) -> float:
    """Seconds from the call of an append to the return of another's wait for it."""
    reader, position = log.clone(), log.end(WORK)
    ready, woken = threading.Semaphore(0), threading.Semaphore(0)
    times: list[float] = []

    def wait() -> None:
        for number in range(rounds):
            ready.release()
            reader.wait({WORK: position + number}, 10)
            times.append(perf_counter())
            woken.release()

    waiting = threading.Thread(target=wait)
    waiting.start()
    began = []
    for _ in range(rounds):
        ready.acquire()
        began.append(perf_counter())
        log.append([Append(WORK, "key", VALUE)])
        woken.acquire()
    waiting.join()
    reader.close()
    return median(end - begin for begin, end in zip(began, times, strict=True))


def _tell_loop(kind: str, number: int, seconds: float) -> None:
    print(f"loop, {kind:<18}{number / seconds:>9,.0f} records/s, {seconds / number * 1e6:.1f} us each")


def _run(log: Log, number: int) -> float:
    log.create(EMBEDDED)
    routes = Routes(log)
    commands = []
    for n in range(number):
        body = Requested(fingerprint=f"f{n % 1_000}", task=f"t{n}", root="r", owner="u")
        commands.append(
            Append(routes.place(Topic.CLAIMS, body.fingerprint), body.fingerprint, encode(body, Cause("jobs", n, 0)))
        )
    for begin in range(0, number, 1_000):
        log.append(commands[begin : begin + 1_000])
    runners = [Runner(log, Answering, n, MemoryCheckpoints()) for n in range(EMBEDDED[Topic.CLAIMS])]
    seconds, _ = _timed(lambda: [_finish(runner) for runner in runners])
    return seconds


def _finish(runner: Runner) -> int:
    while runner.poll():
        pass
    return runner.position


def _timed(run: Callable[[], T]) -> tuple[float, T]:
    begin = perf_counter()
    result = run()
    return perf_counter() - begin, result


def _median(run: Callable[[], object]) -> float:
    """Median of the seconds that `run` takes, or says that it took."""
    times = []
    for _ in range(RUNS):
        seconds, said = _timed(run)
        times.append(said if isinstance(said, float) else seconds)
    return median(times)


if __name__ == "__main__":
    main()
