"""A process beside another that ends its work when it no longer can: `python -m consumers.watchdog`.

It reads lines of JSON from a pipe: what there is to kill, and until when the node may believe its work to be its own.
When that moment passes (the executor is frozen, or the log can't be reached) it kills everything; and when the pipe
ends (the executor is gone, however it went) it kills everything and ends too, as does the Postgres that it was told of.
It has a session of its own, so that Ctrl-C in a terminal doesn't reach it, and imports next to nothing, so that there
is always room for it.
"""

import os
import select
import signal
import sys
import time
from pathlib import Path

import msgspec

from consumers.runners.reap import Hold, kill_all


class Note(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line. `hold` under `key`: what to kill. `drop`: forget that key. `deadline`: milliseconds, monotonic.

    `server`: process of the Postgres on the data folder `folder`, to be ended when the pipe ends and not before; 0: it
    has ended.
    """

    key: str = ""
    hold: Hold | None = None
    drop: str = ""
    deadline: int | None = None
    server: int | None = None
    folder: str = ""
    engine: str = ""  # where the containers' engine listens


class Watch:
    """What there is to kill, and when."""

    def __init__(self) -> None:
        self.holds: dict[str, Hold] = {}
        self.deadline: int | None = None
        self._engine = ""
        self._server = (0, "")

    def take(self, note: Note) -> None:
        """A line was read."""
        if note.hold:
            self.holds[note.key] = note.hold
        self.holds.pop(note.drop, None)
        self.deadline = note.deadline if note.deadline is not None else self.deadline
        self._engine = note.engine or self._engine
        if note.server is not None:
            self._server = (note.server, note.folder)

    def left(self, now: int) -> int | None:
        """Milliseconds until the deadline; None without one."""
        return None if self.deadline is None else max(self.deadline - now, 0)

    def kill(self) -> None:
        """Kill all, processes first. A deadline counts once."""
        holds, self.holds, self.deadline = self.holds, {}, None
        for hold in holds.values():
            kill_all(hold)
        containers = [hold.container for hold in holds.values() if hold.container]
        if containers:
            # Heavy, and needed by few.
            from consumers.runners.docker import kill_containers

            kill_containers(self._engine, containers)

    def end(self) -> None:
        """Kill all, and let the Postgres go that served nobody else."""
        self.kill()
        server, folder = self._server
        if server:
            # Heavy, and needed once.
            from streams.embedded import end_left_over

            end_left_over(Path(folder), server)


def milliseconds() -> int:
    """The node's monotonic clock, the same in all its processes."""
    return time.monotonic_ns() // 1_000_000


def main() -> int:
    """Watch standard input until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    watch = Watch()
    decoder = msgspec.json.Decoder(Note)
    rest = b""
    while True:
        left = watch.left(milliseconds())
        if not select.select([0], [], [], None if left is None else left / 1000)[0]:
            watch.kill()
            continue
        data = os.read(0, 65536)
        if not data:
            watch.end()
            return 0
        *lines, rest = (rest + data).split(b"\n")
        for line in lines:
            watch.take(decoder.decode(line))


if __name__ == "__main__":
    sys.exit(main())
