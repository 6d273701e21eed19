"""The command line under a rule of tests/support/mutations.py: `python -m tests.support.mutant RULE ARGUMENTS`."""

import sys

from gateway.cli import main
from tests.support import mutations

if __name__ == "__main__":
    with getattr(mutations, sys.argv.pop(1))():
        main()
