"""What an incarnation does with what is queued, in the order that it was queued."""

from pathlib import Path
from typing import Any

import msgspec
import pytest

from consumers.executor.heart import Heart
from consumers.executor.incarnation import Incarnation
from consumers.executor.leasesetting import LeaseSetting
from consumers.executor.pulse import milliseconds
from schemas.assignments import Assigned
from schemas.claims import Started
from schemas.topics import Topic
from streams.memory import MemoryLog
from tests.support.attempts import Bench
from tests.support.executor_node import ME, NODE, Node, ready, stopped


@pytest.mark.parametrize("cause", ["cancelled", "fenced"])
def test_work_that_is_not_understood_and_is_told_to_end_ends_once(process: Bench, tmp_path: Path, cause: Any) -> None:
    node = Node().joined()
    node.lives_until = milliseconds() + 60_000
    log = MemoryLog()
    log.create(dict.fromkeys(Topic, 1))
    heart = Heart(log, process.site.guard, tmp_path / "moment")
    incarnation = Incarnation(node.core, log, process.site, heart, LeaseSetting(), {})
    work = msgspec.structs.replace(ready("t"), spec=msgspec.Raw(b'{"brand_new":1}'))
    node.see(Assigned(node=NODE, incarnation=ME, work=work))
    [started] = [append for append in node.todo if isinstance(append.body, Started)]
    incarnation._acked(started.ref)
    incarnation._seen(stopped("t", cause), None)
    while not incarnation._events.empty():
        incarnation._perform(incarnation._events.get()(milliseconds()))
    assert node.core.phases() == {"reporting": 1}
    heart.stop()
