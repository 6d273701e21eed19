"""The command line under a simpler rule of tests/support/mutations.py: `python -m tests.chaos.mutant NAME …`."""

import sys

from gateway.cli import main
from tests.support.mutations import mutated

if __name__ == "__main__":
    with mutated(sys.argv.pop(1)):
        main()
