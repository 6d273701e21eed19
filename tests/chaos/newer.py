"""The command line as the next version has it, which knows rules version 2 as well: `python -m tests.chaos.newer …`."""

import coordinator.machine

coordinator.machine.RULES_VERSION += 1

from gateway.cli import main  # noqa: E402 # the machines take the version as they are imported

if __name__ == "__main__":
    main()
