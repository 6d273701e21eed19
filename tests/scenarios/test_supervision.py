"""How a task is ended: with the times between its signals as they are shipped, on a clock that is moved by hand."""

import signal
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import pytest

from consumers.runners.port import MIB, Exit, Limits
from consumers.runners.reap import Hold
from consumers.runners.space import Space
from consumers.runners.supervise import Supervision
from schemas.reasons import Failure

LIMITS = Limits(cores=1, memory=MIB, scratch=MIB, output=MIB)


class Deaf:
    """A `Running` that only KILL ends, and for which time passes while it is waited for."""

    hold = Hold()

    def __init__(self) -> None:
        self.now = 1000.0
        self.signals: list[tuple[float, int]] = []

    def go(self) -> None:
        pass

    def wait(self, seconds: float) -> Exit | None:
        if self.signals and self.signals[-1][1] == signal.SIGKILL:
            return Exit(128 + signal.SIGKILL)
        self.now += seconds
        return None

    def signal(self, number: int) -> None:
        self.signals.append((self.now, number))

    def processes(self) -> tuple[int, ...]:
        return ()

    def finish(self) -> bool:
        return True


class StoppedLater(Deaf):
    """Somebody asks for its end while it runs."""

    def __init__(self, supervision: Supervision) -> None:
        super().__init__()
        self._supervision = supervision

    def wait(self, seconds: float) -> Exit | None:
        self._supervision.stop(grace=True)
        return super().wait(seconds)


def test_int_term_and_kill_come_four_seconds_apart(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As Crunch v1 gave them."""
    supervision = Supervision(LIMITS, Space(LIMITS, tmp_path, tmp_path))
    deaf = StoppedLater(supervision)
    monkeypatch.setattr("consumers.runners.supervise.time", SimpleNamespace(monotonic=lambda: deaf.now))
    outcome = supervision.run(deaf)
    assert outcome.failure is Failure.SIGNAL
    assert [number for _, number in deaf.signals] == [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
    times = [time for time, _ in deaf.signals]
    assert [later - time for time, later in pairwise(times)] == pytest.approx([4, 4], abs=0.1)


class Hanging(Deaf):
    """Nobody tells of its end, as where an engine hangs."""

    def wait(self, seconds: float) -> Exit | None:
        self.now += seconds
        return None


def test_what_never_says_that_it_ended_is_waited_for_no_longer_than_its_signals_take(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    supervision = Supervision(LIMITS, Space(LIMITS, tmp_path, tmp_path))
    hanging = Hanging()
    monkeypatch.setattr("consumers.runners.supervise.time", SimpleNamespace(monotonic=lambda: hanging.now))
    supervision.stop(grace=True)
    outcome = supervision.run(hanging, adopted=True)
    assert (outcome.failure, outcome.reason) == (Failure.SIGNAL, "it was told to stop, and nobody said that it ended")
    assert [number for _, number in hanging.signals] == [signal.SIGINT, signal.SIGTERM, signal.SIGKILL]
    assert hanging.now == pytest.approx(1012, abs=0.2)


@pytest.mark.parametrize("grace", [True, False])
def test_what_was_told_to_stop_before_it_began_does_not_begin(tmp_path: Path, grace: bool) -> None:
    supervision = Supervision(LIMITS, Space(LIMITS, tmp_path, tmp_path))
    supervision.stop(grace)
    deaf = Deaf()
    outcome = supervision.run(deaf)
    assert (outcome.failure, outcome.reason) == (Failure.SIGNAL, "it was told to stop before it began")
    assert deaf.signals == []
