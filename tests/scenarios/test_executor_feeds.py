"""The executor's threads to the log: what goes wrong in one is told to whoever owns the core."""

from queue import SimpleQueue

from consumers.executor.actions import SignOfLife
from consumers.executor.feeds import Pulse
from streams.admin import create_topics
from streams.memory import MemoryLog
from streams.routes import Routes


def test_what_nobody_foresaw_in_a_sign_of_life_is_told():
    log = MemoryLog()
    create_topics(log)
    told: SimpleQueue[BaseException] = SimpleQueue()
    pulse = Pulse(log, Routes(log), acked=lambda ref: None, failed=lambda ref: None, fail=told.put)
    pulse.start()
    pulse.put(SignOfLife(1, "no record"))  # type: ignore[arg-type]
    assert isinstance(told.get(timeout=10), Exception)
    pulse.close()
