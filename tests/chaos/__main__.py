"""`./run chaos --minutes N [--seed S] [--runner docker] [--keep DIR] [--mutant NAME] [--only NEMESIS ...]`.

`./run chaos --mutants [NAME ...]`: does it see anything? Each simpler rule has to be caught, the real ones not.
"""

import argparse
import secrets
import signal
import sys
import tempfile
from pathlib import Path

from tests.chaos.mutants import try_all
from tests.chaos.nemeses import NEMESES, ON_CONTAINERS
from tests.chaos.ruin import SAYS
from tests.chaos.run import SETTLE, Run
from tests.support.mutations import MUTATIONS


def main() -> int:
    parser = argparse.ArgumentParser(prog="./run chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--seed", type=int, default=None, help="of the storm and of the order of the nemeses")
    parser.add_argument("--keep", type=Path, default=None, help="where the history goes; made new")
    parser.add_argument("--mutant", choices=sorted(MUTATIONS), default="", help="let all processes keep a simpler rule")
    parser.add_argument(
        "--mutants", nargs="*", choices=sorted(MUTATIONS), metavar="NAME", help="those of a name, or all"
    )
    parser.add_argument("--runner", choices=("bubblewrap", "docker"), default="bubblewrap", help="of the tasks")
    parser.add_argument("--settle", type=float, default=SETTLE, help="seconds within which one more job has to end")
    known = sorted([*NEMESES, *ON_CONTAINERS, *SAYS])
    parser.add_argument("--only", nargs="+", choices=known, default=None, metavar="NEMESIS", help=", ".join(known))
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the town is put away
    seed = secrets.randbelow(10**6) if options.seed is None else options.seed
    folder = options.keep or Path(tempfile.mkdtemp(prefix="crunch-chaos-"))
    folder.mkdir(parents=True, exist_ok=True)
    print(f"chaos: seed {seed}; history in {folder}", file=sys.stderr, flush=True)
    if options.mutants is not None:
        return 0 if try_all(options.mutants or list(MUTATIONS), folder, seed, options.runner) else 1
    run = Run(
        folder,
        seed,
        options.minutes * 60,
        runner=options.runner,
        mutant=options.mutant,
        settle=options.settle,
        nemeses=options.only,
    )
    report = run.run()
    print(*report.lines(), sep="\n")
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
