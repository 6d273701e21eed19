"""How long ready work waits for a free slot: `./run bench dispatch [--seconds N] [--log KIND]`.

Eight simulated executors that speak the real topics, each a process, and one coordinator with the real claims and
dispatch machines on a real log. Tasks of 10 ms and of 10 s come at random times; each one's wait, from its arrival to
its start, is set beside the wait in an ideal queue: the same arrivals and slots, first come first served, at no cost.
Then how many assignments a second a long queue of empty tasks gets, and how soon old entries are reused while
every slot of the cluster is taken for long.
"""

import argparse
import time
from collections.abc import Sequence

from bench.common.figures import machine, percentile
from bench.common.logs import KINDS
from bench.dispatching.cluster import Cluster, cluster
from bench.dispatching.machine import freed_slot
from bench.dispatching.queueing import Arrival, arrivals, ideal_waits

REUSES = 20.0  # a second


def main() -> None:
    """Print the figures."""
    options = _options()
    print(f"machine               {machine()}")
    print(f"log                   {options.log}; {options.executors} executors, {options.slots} slots each")
    for long_rate in options.long_rate:
        with cluster(options.log, options.executors, options.slots) as nodes:
            _bench_waiting(nodes, options, long_rate)
    with cluster(options.log, options.executors, 16) as nodes:
        _bench_queue(nodes, options.queue)
    with cluster(options.log, options.executors, options.slots) as nodes:
        _bench_reuse(nodes, options.executors * options.slots, options)
    for needs in (1, 5_000):
        print(
            f"a freed slot          {freed_slot(needs) * 1e6:.0f} us of the machine, {needs:,} different needs queued"
        )
    print(f"machine, at the end   {machine()}")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run bench dispatch", description=__doc__.splitlines()[0])
    parser.add_argument("--log", choices=KINDS, default="postgres")
    parser.add_argument("--executors", type=int, default=8)
    parser.add_argument("--slots", type=int, default=2, help="of each executor")
    parser.add_argument("--seconds", type=float, default=60, help="for which tasks come")
    parser.add_argument("--short", type=float, default=0.010, help="seconds that a short task takes")
    parser.add_argument("--long", type=float, default=10.0, help="seconds that a long task takes")
    parser.add_argument("--short-rate", type=float, default=20.0, help="short tasks a second")
    parser.add_argument("--long-rate", type=float, nargs="*", default=(1.0, 1.4), help="long tasks a second")
    parser.add_argument("--queue", type=int, default=5_000, help="empty tasks in the long queue")
    parser.add_argument("--entries", type=int, default=200, help="old entries that are reused, 20 a second")
    parser.add_argument("--seed", type=int, default=1)
    return parser.parse_args()


def _bench_waiting(nodes: Cluster, options: argparse.Namespace, long_rate: float) -> None:
    rates, lengths = (options.short_rate, long_rate), (options.short, options.long)
    work = arrivals(options.seed, options.seconds, rates, lengths)
    slots = options.executors * options.slots
    load = sum(one.seconds for one in work) / options.seconds / slots
    what = " and ".join(f"{rate:g} of {length:g} s" for rate, length in zip(rates, lengths, strict=True))
    print(f"arrivals              {what} a second, {len(work)} in {options.seconds:g} s: {load:.0%} of all slots' time")
    real, ideal = _waits(nodes, work), ideal_waits(work, slots)
    for percent in (50, 90, 99):
        here, there = percentile(real, percent) * 1000, percentile(ideal, percent) * 1000
        print(f"  waiting p{percent}         {here:8.1f} ms, ideal {there:8.1f} ms, above it {here - there:6.1f} ms")
    more = [one - best for one, best in zip(real, ideal, strict=True)]
    print(f"  above its own ideal p50 {percentile(more, 50) * 1000:.1f} ms, p99 {percentile(more, 99) * 1000:.1f} ms")


def _waits(nodes: Cluster, work: Sequence[Arrival]) -> list[float]:
    """Seconds from the arrival of each to its start."""
    begin = time.monotonic() + 0.5
    for number, one in enumerate(work):
        _sleep_until(begin + one.at)
        nodes.ask({f"t{number}": one.seconds * 1000})
    began = nodes.begun(len(work), 60 + max(one.seconds for one in work))
    return [began[f"t{number}"] - begin - one.at for number, one in enumerate(work)]


def _bench_queue(nodes: Cluster, number: int) -> None:
    names = [f"q{n}" for n in range(number)]
    nodes.ask(dict.fromkeys(names, 0.0))
    began = sorted(nodes.begun(number, 60).values())
    middle = began[number // 10 : -(number // 10)]
    rate = len(middle) / (middle[-1] - middle[0])
    print(f"a long queue          {rate:,.0f} assignments/s, with 16 slots each")


def _bench_reuse(nodes: Cluster, slots: int, options: argparse.Namespace) -> None:
    """Entries are made and grow old; then long tasks take all slots, more wait, and the entries are asked for."""
    made = {f"made-{n}": f"work-{n}" for n in range(options.entries)}
    nodes.ask(dict.fromkeys(made, 0.0), made)
    nodes.begun(options.entries, 60)
    nodes.finished.wait_for(made, 60)
    nodes.age()
    length = options.entries / REUSES + options.long
    nodes.ask({f"long-{n}": length * 1000 for n in range(2 * slots)})
    nodes.begun(slots, 60)
    asked, begin = {}, time.monotonic()
    for number in range(options.entries):
        _sleep_until(begin + number / REUSES)
        asked[f"again-{number}"] = time.monotonic()
        nodes.ask({f"again-{number}": 0.0}, {f"again-{number}": f"work-{number}"})
    nodes.finished.wait_for(asked, 60)
    took = [nodes.finished.at[task] - at for task, at in asked.items()]
    p50, p99 = percentile(took, 50) * 1000, percentile(took, 99) * 1000
    print(f"reuse, cluster full   {len(took)} old entries, looked at and copied: p50 {p50:.1f} ms, p99 {p99:.1f} ms")


def _sleep_until(moment: float) -> None:
    time.sleep(max(moment - time.monotonic(), 0))


if __name__ == "__main__":
    main()
