"""The executor's threads to the log: what goes wrong in one is told to whoever owns the core."""

from queue import SimpleQueue

from consumers.executor.actions import Append
from consumers.executor.feeds import Appender
from schemas.topics import Topic
from streams.admin import create_topics
from streams.memory import MemoryLog
from streams.routes import Routes


def test_what_nobody_foresaw_in_an_append_is_told():
    log = MemoryLog()
    create_topics(log)
    told: SimpleQueue[BaseException] = SimpleQueue()
    appender = Appender(log, Routes(log), acked=lambda ref: None, fail=told.put)
    appender.start()
    appender.put(Append(1, Topic.WORK, "no record"))  # type: ignore[arg-type]
    assert isinstance(told.get(timeout=10), Exception)
    appender.close()
