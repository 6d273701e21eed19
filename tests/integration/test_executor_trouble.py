"""An executor that can't work for a while, say because its store is not mounted: it takes no work, and comes back."""

import threading
import time
from pathlib import Path

from consumers.executor.service import Executor, Offer
from schemas.codec import decode
from schemas.topics import Topic
from schemas.work import Alive, Joined, Paused
from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.log import Place
from streams.memory import MemoryLog

PATIENCE = 60.0
WORK = Place(Topic.WORK, 0)


def count(log: MemoryLog, kind: type, **fields: object) -> int:
    bodies = [decode(Topic.WORK, record.value).body for record in log.read(WORK, 0, 10_000)]
    alike = [body for body in bodies if isinstance(body, kind)]
    return sum(all(getattr(body, name) == value for name, value in fields.items()) for body in alike)


def until(log: MemoryLog, kind: type, number: int, **fields: object) -> None:
    end = time.monotonic() + PATIENCE
    while True:
        position = log.end(WORK)
        if count(log, kind, **fields) >= number:
            return
        assert log.wait({WORK: position}, end - time.monotonic()), f"no {kind.__name__}"


def test_it_joins_when_it_can_work_pauses_when_it_can_not_and_takes_work_again(tmp_path: Path) -> None:
    log = MemoryLog()
    log.create(dict.fromkeys(Topic, 1))
    trouble: list[str] = ["the store is not mounted"]
    asked = threading.Semaphore(0)

    def why() -> str | None:
        asked.release()
        return trouble[0] if trouble else None

    store = CollectionStore(BlockStore.create(tmp_path / "store"))
    executor = Executor(log, store, tmp_path / "executor", Offer(runner="process", slots=1), why)
    thread = threading.Thread(target=executor.run)
    thread.start()
    try:
        for _ in range(2):
            assert asked.acquire(timeout=PATIENCE)
        assert count(log, Joined) == 0, "it joined a log for which it can't work"
        trouble.clear()
        until(log, Joined, 1)
        trouble.append("the store is not mounted")
        until(log, Paused, 1)
        until(log, Alive, 1, pausing=True)
        trouble.clear()
        until(log, Alive, 1 + count(log, Alive, pausing=False), pausing=False)
        assert count(log, Joined) == 1, "it gave up what it held"
    finally:
        executor.stop()
        thread.join(PATIENCE)
    assert not thread.is_alive()
