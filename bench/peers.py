"""Our coordinator beside what else could give claims out: `./run bench peers [--runs N] [--fingerprints N]`.

One broker, one protocol: each fingerprint is requested, completed, and requested again; each command has one answer.
Ours keeps its state as `coordinator` does, rows on disk and snapshots beside them; the limit and one of ours keep none.
Commands are the same bytes for all who read them from Kafka; all are durable in the same way. Rates are answers a
second by the broker's own clock, the first fifth left out; medians of runs that take turns. Beside them the processor
time of who answers, for each command: other work on the machine is not in it. Postgres and Redis have no log and no
completion: there a claim is one statement that inserts the request or finds who had it first.
"""

import argparse
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from statistics import median
from typing import NamedTuple

from bench.common.figures import machine, percentile, processor_seconds
from bench.common.processes import BenchFailed
from bench.contenders import databases, faust_app, ours, streams
from bench.contenders.databases import Claimed
from bench.contenders.story import PER_FINGERPRINT, request, story
from bench.contenders.topics import Broker, closed_loop, rate
from streams.broker import BrokerError, LocalBroker

PARTITIONS = 4
OURS = "ours"
NO_LOG_ID = "0" * 32
HEAP = "1g"


class Measured(NamedTuple):
    """Commands answered a second in each run; seconds of processor time of who answered, for each command; seconds of
    each closed loop, the first ones left out."""

    rates: tuple[float, ...] = ()
    costs: tuple[float, ...] = ()
    loops: tuple[float, ...] = ()

    def plus(self, other: "Measured") -> "Measured":
        """Both."""
        return Measured(*(mine + others for mine, others in zip(self, other, strict=True)))


class Bench(NamedTuple):
    """What all contenders are measured with."""

    broker: Broker
    options: argparse.Namespace
    folder: Path  # the broker's log

    def fingerprints(self, share: float = 1.0) -> int:
        """How many fingerprints a run has."""
        return max(int(self.options.fingerprints * share), 10)


Running = AbstractContextManager[Sequence[int]]
"""Processes that answer, by their ids, until it ends."""

Contender = Callable[[Bench, bool], Measured]
"""Measures once: the rate and its cost (True), or closed loops (False)."""


def main() -> int:
    """Print the figures; exit code 1 where a contender could not be measured."""
    options = _options()
    names = options.only or list(CONTENDERS)
    print(f"machine     {machine()}")
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-bench-") as folder, _broker(Path(folder), names) as broker:
        bench = Bench(broker, options, Path(folder, "log"))
        found, failed = _measure(bench, names)
    _tell(found)
    print(f"machine     {machine()}, at the end")
    for name, story_of in failed.items():
        print(f"not measured: {name}: {story_of}", file=sys.stderr)
    return 1 if failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench peers", description=__doc__.splitlines()[0])
    parser.add_argument(
        "--fingerprints", type=int, default=100_000, help="of one run; Faust gets a tenth, Postgres half as many claims"
    )
    parser.add_argument("--runs", type=int, default=3)
    parser.add_argument("--loops", type=int, default=300, help="closed loops of each contender")
    parser.add_argument("--only", nargs="+", choices=CONTENDERS, metavar="NAME", help=", ".join(CONTENDERS))
    return parser.parse_args()


@contextmanager
def _broker(folder: Path, names: list[str]) -> Iterator[Broker]:
    if not ON_KAFKA.isdisjoint(names):
        with LocalBroker(folder, heap=HEAP) as broker:
            yield Broker(broker.servers)
    else:
        yield Broker("")


def _measure(bench: Bench, names: list[str]) -> tuple[dict[str, Measured], dict[str, str]]:
    found = dict.fromkeys(names, Measured())
    failed: dict[str, str] = {}
    for _ in range(bench.options.runs):
        for name in names:
            if name in failed:
                continue
            try:
                found[name] = found[name].plus(CONTENDERS[name](bench, True))
                if not found[name].loops:
                    found[name] = found[name].plus(CONTENDERS[name](bench, False))
                print(f"{name}: {found[name].rates[-1]:,.0f} a second", file=sys.stderr, flush=True)
            except (BenchFailed, BrokerError) as error:
                failed[name] = str(error)
    return {name: measured for name, measured in found.items() if name not in failed}, failed


def _tell(found: dict[str, Measured]) -> None:
    ours_rate, ours_cost = _middles(found.get(OURS, Measured()))
    print(f"{'':<28}{'commands/s':>11}{'least':>10}{'most':>10}{'ours is':>10}{'p50 ms':>9}{'p99 ms':>9}", end="")
    print(f"{'us each':>9}{'ours is':>10}")
    for name, measured in found.items():
        rate_, cost = _middles(measured)
        loops = [_or_none(percentile(measured.loops, p) * 1000 if measured.loops else 0.0, ">9.2f") for p in (50, 99)]
        print(f"{name:<28}{rate_:>11,.0f}{min(measured.rates):>10,.0f}{max(measured.rates):>10,.0f}", end="")
        print(f"{_times(ours_rate, rate_)}{''.join(loops)}{_or_none(cost * 1e6, '>9.1f')}{_times(cost, ours_cost)}")
    for name in found:
        if name in SETTINGS:
            print(f"{name}: {', '.join(f'{key}={value}' for key, value in SETTINGS[name].items())}")


def _middles(measured: Measured) -> tuple[float, float]:
    """Rate and cost; 0 for what was not measured."""
    return median(measured.rates or (0.0,)), median(measured.costs or (0.0,))


def _times(one: float, other: float) -> str:
    return f"{one / other:>8.2f} x" if one and other else f"{'-':>10}"


def _or_none(value: float, form: str) -> str:
    return format(value, form) if value else f"{'-':>9}"


# --- On Kafka --------------------------------------------------------------------------------------------------------


def _ours(bench: Bench, is_rate: bool, processes: int = 1, *, on_disk: bool = True) -> Measured:
    topics = ours.OurTopics(bench.broker, PARTITIONS)
    if not is_rate:
        with ours.coordinators(topics, processes, on_disk=on_disk):
            return _loops(bench, topics.commands, topics.answers)
    number = _fill(bench, topics.commands, topics.log_ids)
    with ours.coordinators(topics, processes, on_disk=on_disk) as pids:
        measured = _answered(bench, pids, topics.answers, number, ours.ANSWER)
    if processes == 1 and on_disk:
        tasks = number // PER_FINGERPRINT * 2
        print(f"our topics  {topics.bytes_below(bench.folder) / tasks:,.0f} bytes on disk for each of {tasks:,} tasks")
    return measured


def _limit(bench: Bench, is_rate: bool) -> Measured:
    if not is_rate:
        return Measured()
    topics = ours.OurTopics(bench.broker, PARTITIONS)
    number = _fill(bench, topics.commands, topics.log_ids)
    with ours.limit(topics) as pids:
        return _answered(bench, pids, topics.answers, number, ours.ANSWER)


def _raw(bench: Bench, is_rate: bool) -> Measured:
    """Producing alone; a closed loop is one record to the broker and back."""
    topic = bench.broker.create("raw", PARTITIONS)
    if not is_rate:
        return _loops(bench, topic, topic)
    return Measured((bench.broker.fill(topic, story([NO_LOG_ID] * PARTITIONS, bench.fingerprints())),))


def _consumed(bench: Bench, is_rate: bool) -> Measured:
    if not is_rate:
        return Measured()
    topic = bench.broker.create("raw", PARTITIONS)
    return Measured((bench.broker.drain(topic, PARTITIONS, _fill(bench, topic, [NO_LOG_ID] * PARTITIONS)),))


def _streams(bench: Bench, is_rate: bool, store: str) -> Measured:
    return _foreign(
        bench, is_rate, 1.0, lambda commands, answers: streams.streams_app(bench.broker, commands, answers, store)
    )


def _faust(bench: Bench, is_rate: bool, guarantee: str) -> Measured:
    def app(commands: str, answers: str) -> Running:
        return faust_app.faust_app(bench.broker, commands, answers, guarantee, PARTITIONS)

    return _foreign(bench, is_rate, 0.1, app)


def _foreign(bench: Bench, is_rate: bool, share: float, app: Callable[[str, str], Running]) -> Measured:
    commands, answers = (bench.broker.create(name, PARTITIONS) for name in ("commands", "answers"))
    number = _fill(bench, commands, [NO_LOG_ID] * PARTITIONS, share) if is_rate else 0
    with app(commands, answers) as pids:
        return _answered(bench, pids, answers, number) if is_rate else _loops(bench, commands, answers)


def _answered(bench: Bench, pids: Sequence[int], topic: str, number: int, about: bytes = b"") -> Measured:
    """Wait for so many answers of these processes."""
    before = sum(map(processor_seconds, pids))
    times = bench.broker.times(topic, PARTITIONS, number, about)
    return Measured((rate(times),), ((sum(map(processor_seconds, pids)) - before) / number,))


def _fill(bench: Bench, topic: str, log_ids: list[str], share: float = 1.0) -> int:
    commands = story(log_ids, bench.fingerprints(share))
    bench.broker.fill(topic, commands)
    return sum(map(len, commands))


def _loops(bench: Bench, commands: str, answers: str) -> Measured:
    asked = [request(number, "a", None) for number in range(bench.options.loops)]
    return Measured(loops=tuple(closed_loop(bench.broker, commands, answers, PARTITIONS, asked)[len(asked) // 5 :]))


# --- In a database ---------------------------------------------------------------------------------------------------


def _postgres(bench: Bench, is_rate: bool, clients: int) -> Measured:
    return _claimed(databases.postgres_claims(clients, bench.fingerprints(0.5), bench.fingerprints()), is_rate)


def _redis(bench: Bench, is_rate: bool, clients: int) -> Measured:
    if missing := databases.redis_missing():
        raise BenchFailed(missing)
    with databases.redis() as port:
        found = databases.redis_claims(port, clients, bench.fingerprints(2.0), bench.fingerprints())
    return _claimed(found, is_rate)


def _claimed(found: Claimed, is_rate: bool) -> Measured:
    return Measured((found.rate,)) if is_rate else Measured(loops=tuple(took / 1000 for took in found.took))


CONTENDERS: dict[str, Contender] = {
    "produce only": _raw,
    "consume only": _consumed,
    OURS: _ours,
    "ours, in memory": lambda bench, is_rate: _ours(bench, is_rate, on_disk=False),
    "ours without rules": _limit,
    "ours, two processes": lambda bench, is_rate: _ours(bench, is_rate, 2),
    "Streams, RocksDB": lambda bench, is_rate: _streams(bench, is_rate, "rocksdb"),
    "Streams, in memory": lambda bench, is_rate: _streams(bench, is_rate, "memory"),
    "Faust, exactly once": lambda bench, is_rate: _faust(bench, is_rate, "exactly_once"),
    "Faust, at least once": lambda bench, is_rate: _faust(bench, is_rate, "at_least_once"),
    "Postgres, 1 client": lambda bench, is_rate: _postgres(bench, is_rate, 1),
    "Postgres, 32 clients": lambda bench, is_rate: _postgres(bench, is_rate, 32),
    "Redis, 1 client": lambda bench, is_rate: _redis(bench, is_rate, 1),
    "Redis, 32 clients": lambda bench, is_rate: _redis(bench, is_rate, 32),
}
ON_KAFKA = {name for name in CONTENDERS if not name.startswith(("Postgres", "Redis"))}
SETTINGS: dict[str, dict[str, str]] = {
    "Streams, RocksDB": streams.SETTINGS,
    "Faust, exactly once": faust_app.SETTINGS,
    "Postgres, 1 client": databases.POSTGRES_SETTINGS,
    "Redis, 1 client": databases.REDIS_SETTINGS,
}

if __name__ == "__main__":
    sys.exit(main())
