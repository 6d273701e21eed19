"""An incarnation's signs of life: begun when it has joined, given by the process beside us where that can be."""

import os
from pathlib import Path

from consumers.executor.guard import Guard
from consumers.executor.lease import Timing
from consumers.executor.life import Life
from consumers.executor.pulse import Living, Pulse, Sender
from consumers.executor.until import Until
from schemas.work import Alive
from streams.log import Log


class Heart:
    """`moment`: a file of this incarnation alone, in which it stands until when its work is its own."""

    def __init__(self, log: Log, guard: Guard, moment: Path) -> None:
        self._log = log
        self._guard = guard
        self._moment = moment
        self._until = Until(moment)
        self._pulse: Pulse | None = None
        self._begun = False

    def until(self) -> int:
        """How long the last acknowledged sign of life holds, ms of the monotonic clock; 0 before the first."""
        return self._until.at

    def begin(self, identity: Alive, timing: Timing, sent: int) -> None:
        """The incarnation has joined; that was sent at this time."""
        self._begun = True
        if self._log.address() is None:
            self._sender = Sender(self._log.clone)
            self._pulse = Pulse(self._sender, Life(identity, timing, sent), Until(self._moment), lambda: True)
            self._pulse.start()
        else:
            until, process = str(self._moment), os.getpid()
            self._until.at = timing.deadline(sent)
            self._guard.live(Living(identity=identity, timing=timing, sent=sent, until=until, process=process))
        self._guard.watch(self._moment)

    def beat(self, tokens: tuple[str, ...], pausing: bool) -> None:
        """What the executor holds; said again and again, as it shows that it goes on."""
        if self._pulse is not None:
            self._pulse.hear(tokens, pausing)
        elif self._begun:
            self._guard.hear(tokens, pausing)

    def retime(self, timing: Timing) -> None:
        """The dispatcher keeps to another lease from now on."""
        if self._pulse is not None:
            self._pulse.retime(timing)
        elif self._begun:
            self._guard.retime(timing)

    def stop(self) -> None:
        """The incarnation is over."""
        if self._pulse is not None:
            self._pulse.close()
            self._sender.close()
            self._pulse.join()
        elif self._begun:
            self._guard.rest()
        self._until.close()
        self._moment.unlink(missing_ok=True)
