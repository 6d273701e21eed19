"""A process beside another that ends its work when it no longer can: `python -m consumers.watchdog`.

It reads lines of JSON from a pipe: what there is to kill, and where it stands until when the node may believe its work
to be its own. When that moment passes (the executor is frozen, or the log can't be reached) it kills everything. It
gives the executor's signs of life too, so that no step of the executor can hold them up (`consumers.executor.life`).

When the pipe ends the executor is gone, however it went. Nothing is said for it any more, and its processes are killed
at once, as is the Postgres that this watchdog was told of. Containers may run on: the engine keeps what they say and
how they end, so an executor that is started again in time goes on with them, and ends this process first, by force. If
none has come when the moment passes, they are killed too.

What it has to complain of it tells its executor, whose journal has it. When that is gone, or does not listen, it is a
line of its own on standard error, in the journal's form.

It has a session of its own, so that Ctrl-C in a terminal doesn't reach it, and imports next to nothing before it is
needed, so that there is always room for it.
"""

import logging
import os
import select
import signal
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from consumers.executor.until import Until
from consumers.runners.reap import Hold, kill_all
from streams.actions import moment, words

if TYPE_CHECKING:
    from consumers.executor.pulse import Pulse, Sender

LOGGER = logging.getLogger("consumers.watchdog")
_NOTHING = msgspec.Raw(b"null")
_AGAIN = 1_000  # ms between two attempts to remove what the engine did not
_LONGEST = 800  # characters of a complaint: a pipe takes it whole, or not at all
_GIVE_UP = 600_000  # ms after its executor is gone, if the engine never answers


class Note(msgspec.Struct, omit_defaults=True, kw_only=True):
    """One line. `hold` under `key`: what to kill. `drop`: forget that key. `until`: file of the shared moment.

    `over`: kill all that is held, now. `address`: of the log; an empty line on standard output says that it was opened.
    `live`: give signs of life (a `Living`); `held`, `pausing`: what the next ones list; `timing`: a new `Timing`;
    `rest`: no more of them. `server`: process of the Postgres on the data folder `folder`, to be ended when the pipe
    ends and not before; 0: it has ended.
    """

    key: str = ""
    hold: Hold | None = None
    drop: str = ""
    until: str = ""
    over: bool = False
    address: msgspec.Raw = _NOTHING
    live: msgspec.Raw = _NOTHING
    held: tuple[str, ...] | None = None
    pausing: bool = False
    timing: msgspec.Raw = _NOTHING
    rest: bool = False
    server: int | None = None
    folder: str = ""
    engine: str = ""  # where the containers' engine listens


class Watch:
    """What there is to kill, and when; and the signs of life."""

    def __init__(self) -> None:
        self.holds: dict[str, Hold] = {}
        self._until: Until | None = None
        self._sender: Sender | None = None
        self._pulse: Pulse | None = None
        self._engine = ""
        self._server = (0, "")
        self._owed: tuple[str, ...] = ()  # containers to be removed, whatever the engine says
        self._again = 0
        self._trouble = ""

    def take(self, note: Note) -> None:
        """A line was read."""
        if note.hold:
            self.holds[note.key] = note.hold
        self.holds.pop(note.drop, None)
        self._engine = note.engine or self._engine
        if note.until:
            self._until = Until(Path(note.until))
        if note.over:
            self.kill()
        if note.server is not None:
            self._server = (note.server, note.folder)
        if note.address != _NOTHING:
            self._open(note.address)
        if note.live != _NOTHING and self._sender is not None:
            self._live(note.live, self._sender)
        if self._pulse is not None:
            self._pass_on(note, self._pulse)

    def left(self, now: int) -> int | None:
        """Milliseconds until there is something to kill; None: there is nothing to wait for."""
        moments = [self._again] if self._owed else []
        if self._until is not None and self._until.at and self.holds:
            moments.append(self._until.at)
        return max(min(moments) - now, 0) if moments else None

    def tick(self, now: int) -> None:
        """Kill what is due: all, when the moment has passed; and what the engine still owes."""
        if self._owed and now >= self._again:
            self._remove(self._owed)
        if self._until is not None and self._until.at and now >= self._until.at:
            self.kill()

    def kill(self) -> None:
        """Kill all, processes first. Containers that the engine does not remove now are tried again."""
        holds, self.holds = self.holds, {}
        for hold in holds.values():
            kill_all(hold)
        containers = tuple(hold.container for hold in holds.values() if hold.container)
        if containers:
            self._remove(tuple(dict.fromkeys(self._owed + containers)))

    def end(self) -> None:
        """The executor is gone: kill its processes, let the Postgres go that served nobody else, wait for the rest."""
        if self._pulse is not None:
            self._pulse.close()
        containers = {key: hold for key, hold in self.holds.items() if hold.container}
        self.holds = {key: hold for key, hold in self.holds.items() if not hold.container}
        self.kill()
        self._end_server()
        self.holds = containers
        if self._until is None or not self._until.at:
            self.kill()
        give_up = milliseconds() + _GIVE_UP
        while (left := self.left(now := milliseconds())) is not None:
            if not self.holds and now >= give_up:
                LOGGER.warning("%s stays until the executor starts again", ", ".join(self._owed))
                return
            time.sleep(left / 1000)
            self.tick(milliseconds())

    def _remove(self, containers: tuple[str, ...]) -> None:
        # Heavy, and needed by few.
        from consumers.runners.docker import remove_containers

        told = self._trouble
        self._owed, self._trouble = remove_containers(self._engine, containers)
        self._again = milliseconds() + _AGAIN
        if self._trouble not in ("", told):
            LOGGER.warning("%s can't be removed, tried again: %s", ", ".join(self._owed), self._trouble)

    def _end_server(self) -> None:
        server, folder = self._server
        if server:
            # Heavy, and needed once.
            from streams.embedded import end_left_over

            end_left_over(Path(folder), server)

    def _open(self, address: msgspec.Raw) -> None:
        # Needed only beside an executor, and slow: it brings a client of the log along.
        from consumers.executor.pulse import Sender
        from streams.address import Address
        from streams.log import LogError

        self._sender = Sender(msgspec.json.decode(address, type=Address).open)
        try:
            self._sender.open()
        except LogError as error:
            LOGGER.warning("%s", error)  # tried again with each sign of life
        with suppress(OSError):  # the executor is gone, which the end of our own pipe says next, or does not listen
            os.write(1, b"\n")

    def _live(self, living: msgspec.Raw, sender: "Sender") -> None:
        from consumers.executor.pulse import Living

        self._rest()
        self._pulse = msgspec.json.decode(living, type=Living).pulse(sender)
        self._pulse.start()

    def _pass_on(self, note: Note, pulse: "Pulse") -> None:
        if note.held is not None:
            pulse.hear(note.held, note.pausing)
        if note.timing != _NOTHING:
            from consumers.executor.lease import Timing

            pulse.retime(msgspec.json.decode(note.timing, type=Timing))
        if note.rest:
            self._rest()

    def _rest(self) -> None:
        if self._pulse is not None:
            self._pulse.close()
        self._pulse = None


class Complaints(logging.Handler):
    """Tells the executor, never waiting for it; where that hears nothing, whoever reads standard error."""

    def emit(self, record: logging.LogRecord) -> None:
        """One record."""
        line = " ".join(record.getMessage().split())[:_LONGEST]
        try:
            os.write(1, line.encode() + b"\n")
        except OSError:
            said = {"part": record.name, "message": line}
            sys.stderr.write(words(moment(), "watchdog", "warned", record.levelname.lower(), said))
            sys.stderr.flush()


def milliseconds() -> int:
    """The node's monotonic clock, the same in all its processes."""
    return time.monotonic_ns() // 1_000_000


def main() -> int:
    """Watch standard input until it ends."""
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    os.set_blocking(1, False)
    logging.basicConfig(handlers=[Complaints(logging.WARNING)])
    watch = Watch()
    decoder = msgspec.json.Decoder(Note)
    rest = b""
    while True:
        left = watch.left(milliseconds())
        if left == 0:
            watch.tick(milliseconds())
            continue
        if not select.select([0], [], [], None if left is None else left / 1000)[0]:
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
