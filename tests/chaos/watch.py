"""What the facts say meanwhile: which jobs have ended. One thread, which outlives every broken connection."""

import threading
import time
from collections.abc import Callable

from schemas.codec import decode
from schemas.facts import JobChanged
from schemas.topics import Topic
from streams.log import Log, LogError, Place

ENDED = ("complete", "failed", "cancelled")


class Patience:
    """Lasts for so many seconds, and begins anew whenever there is less left: a busy machine is slow, not stuck."""

    def __init__(self, seconds: float) -> None:
        self._seconds = seconds
        self._least: int | None = None
        self._since = 0.0

    def lasts(self, left: int, now: float) -> bool:
        """Whether to go on waiting. `left`: of what is waited for. `now`: seconds of any clock."""
        if self._least is None or left < self._least:
            self._least, self._since = left, now
        return now < self._since + self._seconds


class Watch:
    """Jobs by their last state, as the facts have it. `opened` opens the log anew."""

    def __init__(self, opened: Callable[[], Log]) -> None:
        self._opened = opened
        self._stopping = threading.Event()
        self._changed = threading.Condition()
        self._positions: dict[Place, int] = {}
        self.states: dict[str, str] = {}
        self.records = 0
        self._thread = threading.Thread(target=self._run, name="watch", daemon=True)
        self._thread.start()

    def open_jobs(self, roots: list[str]) -> list[str]:
        """Those that have not ended."""
        return [root for root in roots if self.states.get(root) not in ENDED]

    def until_ended(self, roots: list[str], seconds: float) -> list[str]:
        """Those that have not ended when none has for so long; empty as soon as all have."""
        patience = Patience(seconds)
        with self._changed:
            while (left := self.open_jobs(roots)) and patience.lasts(len(left), time.monotonic()):
                self._changed.wait(0.5)
        return left

    def until_first_output(self, seconds: float) -> bool:
        """Whether some job was completed within so long."""
        with self._changed:
            return self._changed.wait_for(lambda: "complete" in self.states.values(), seconds)

    def stop(self) -> None:
        """No more."""
        self._stopping.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._stopping.is_set():
            try:
                log = self._opened()
                try:
                    self._follow(log)
                finally:
                    log.close()
            except LogError:
                self._stopping.wait(0.5)

    def _follow(self, log: Log) -> None:
        places = [Place(Topic.FACTS, number) for number in range(log.partitions(Topic.FACTS))]
        while not self._stopping.is_set():
            positions = {place: self._positions.get(place, 0) for place in places}
            if not sum([self._read(log, place, offset) for place, offset in positions.items()]):
                log.wait(positions, 0.5)

    def _read(self, log: Log, place: Place, offset: int) -> int:
        records = log.read(place, offset, 1_000)
        for record in records:
            if b'"job_changed"' in record.value:
                body = getattr(decode(Topic.FACTS, record.value), "body", None)
                if isinstance(body, JobChanged) and self.states.get(body.root) not in ENDED:
                    self.states[body.root] = body.state
        if records:
            self._positions[place] = records[-1].offset + 1
            self.records += len(records)
            with self._changed:
                self._changed.notify_all()
        return len(records)
