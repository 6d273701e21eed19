"""`./run simulate`: run schedules by number; a seed that fails tells its story and replays by its number."""

import argparse
import os
import sys
from time import perf_counter

from tests.simulation.campaign import Campaign, campaign, run_seed
from tests.support.mutations import MUTATIONS, mutated


def main() -> int:
    options = _options()
    if options.seed is not None:
        with mutated(options.mutation):
            told = run_seed(options.seed).story
        print(told or f"Seed {options.seed} holds all invariants.")
        return 1 if told else 0
    began = perf_counter()
    result = campaign(options.first, options.seeds, options.jobs, options.mutation)
    _tell(result, perf_counter() - began, options.coverage)
    return 1 if result.failed else 0


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="./run simulate", description=__doc__)
    parser.add_argument("--seeds", type=int, default=2_000, metavar="N", help="how many schedules (default 2000)")
    parser.add_argument("--first", type=int, default=0, metavar="N", help="the first one's number (default 0)")
    parser.add_argument("--seed", type=int, metavar="K", help="replay this one alone, and tell its story if it fails")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, metavar="N", help="processes (default: cores)")
    parser.add_argument("--mutation", choices=sorted(MUTATIONS), help="run a simpler rule, which must fail")
    parser.add_argument("--coverage", action="store_true", help="say how often each fault struck and each rule decided")
    return parser.parse_args()


def _tell(result: Campaign, seconds: float, coverage: bool) -> None:
    if coverage:
        for name, count in sorted(result.counted.items()):
            print(f"{count:>9}  {name}")
    if result.failed:
        print(result.story)
        numbers = ", ".join(map(str, result.failed))
        print(f"\n{len(result.failed)} of {result.seeds} seeds failed: {numbers}", file=sys.stderr)
    rate, records = result.seeds / seconds, result.records / max(result.seeds, 1)
    print(f"{result.seeds} schedules of {records:.0f} records in {seconds:.1f} s: {rate:.0f} a second")


if __name__ == "__main__":
    sys.exit(main())
