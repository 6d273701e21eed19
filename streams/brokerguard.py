"""Runs a program that ends with whoever asked for it: `python -m streams.brokerguard COMMAND...`.

It says the program's process id on a line of standard output, then waits: when standard input ends (who asked is gone,
however it went) or the program does, both are over. A session of its own keeps Ctrl-C in a terminal away from it.
"""

import os
import select
import signal
import subprocess
import sys
import threading
from collections.abc import Sequence


def main(command: Sequence[str]) -> int:
    """Run the command; its exit code."""
    ended, ending = os.pipe()
    process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=sys.stderr, stderr=sys.stderr)
    # Not before: a program that inherits a signal as ignored may never listen to it.
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    print(process.pid, flush=True)
    os.close(sys.stdout.fileno())
    threading.Thread(target=_await, args=(process, ending), daemon=True).start()
    select.select([0, ended], [], [])
    process.kill()
    return process.wait()


def _await(process: "subprocess.Popen[bytes]", ending: int) -> None:
    process.wait()
    os.close(ending)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
