"""What a task says can be read while it runs: put now and then where the store's readers find it, and taken back."""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.executor.boundedlog import BoundedLog
from consumers.executor.speaker import Speaker
from store.blocks import BlockStore
from store.errors import StoreUnreachable
from store.folder import MARKER
from store.words import FOLDER, MOST, FolderWords, Words, name_of
from tests.support.attempts import bench

PATIENCE = 60.0
EVERY = 0.01


class Ear(FolderWords):
    """Hears whenever words are put or taken back, or were to be."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.removals = 0  # tried
        self._changed = threading.Condition()

    def put(self, name: str, words: Words) -> None:
        with self._heard():
            super().put(name, words)

    def remove(self, name: str) -> None:
        with self._heard():
            try:
                super().remove(name)
            finally:
                self.removals += 1

    def until(self, condition: Callable[[], object]) -> None:
        with self._changed:
            assert self._changed.wait_for(condition, PATIENCE), "it did not happen"

    def end_of(self, name: str) -> bytes:
        found = self.get(name)
        return found.end if found else b""

    @contextmanager
    def _heard(self) -> Iterator[None]:
        try:
            yield
        finally:
            with self._changed:
                self._changed.notify_all()


@pytest.fixture
def blocks(tmp_path: Path) -> BlockStore:
    return BlockStore.create(tmp_path / "store")


@pytest.fixture
def words(blocks: BlockStore) -> Ear:
    return Ear(blocks.root)


@pytest.fixture
def log(tmp_path: Path) -> Iterator[BoundedLog]:
    made = BoundedLog(tmp_path / "log")
    yield made
    made.close()


@pytest.fixture
def speaker(words: Ear) -> Iterator[Speaker]:
    made = Speaker(words, EVERY, linger=0)
    yield made
    made.close()


def test_words_are_there_while_they_are_said_and_gone_when_it_is_over(words, speaker, log):
    with speaker.heard("one", log):
        log.write(b"first\n")
        words.until(lambda: words.end_of("one") == b"first\n")
        log.write(b"\x1b[31m\xff second")
        words.until(lambda: words.end_of("one") == b"first\n\x1b[31m\xff second")
    words.until(lambda: words.get("one") is None)


def test_who_is_silent_leaves_nothing(blocks, words, speaker, log, tmp_path):
    silent = BoundedLog(tmp_path / "silent")
    with speaker.heard("silent", silent), speaker.heard("other", log):
        for number in range(3):
            log.write(b"%d" % number)
            words.until(lambda number=number: words.end_of("other").endswith(b"%d" % number))
        assert {path.name.partition(".")[0] for path in (blocks.root / FOLDER).iterdir()} <= {"other"}
    silent.close()


def test_of_a_lot_the_end_is_shown_and_how_much_it_was(blocks, words, speaker, log):
    with speaker.heard("one", log):
        for number in range(40):
            log.write(bytes([number]) * 2**20)
        log.write(b"end")
        words.until(lambda: words.end_of("one").endswith(b"end"))
        assert words.get("one") == Words(total=40 * 2**20 + 3, end=bytes([39]) * (MOST - 3) + b"end")
        assert (blocks.root / FOLDER / "one").stat().st_size < MOST + 32


def test_a_store_that_is_away_ends_nothing_is_said_once_and_words_come_when_it_is_back(
    blocks, words, speaker, log, caplog
):
    caplog.set_level(logging.WARNING)
    (blocks.root / MARKER).rename(blocks.root / "away")
    with speaker.heard("one", log):
        log.write(b"said")
        words.until(lambda: caplog.records)
        with pytest.raises(StoreUnreachable, match="gone or not mounted"):
            words.get("one")
        assert not (blocks.root / FOLDER).exists()
        (blocks.root / "away").rename(blocks.root / MARKER)
        words.until(lambda: words.end_of("one") == b"said")
    [told] = caplog.messages
    assert told.startswith("what running tasks say can't be shown: the store at ")


def test_what_can_not_be_shown_is_said_once_also_where_other_words_can_be(
    blocks, words, speaker, log, tmp_path, caplog
):
    """As in a store that has room for a little."""
    caplog.set_level(logging.WARNING)
    (blocks.root / FOLDER / "other").mkdir(parents=True)
    other = BoundedLog(tmp_path / "other")
    with speaker.heard("one", log), speaker.heard("other", other):
        other.write(b"said")
        words.until(lambda: caplog.records)
        for number in range(5):
            log.write(b"%d" % number)
            words.until(lambda number=number: words.end_of("one").endswith(b"%d" % number))
        (blocks.root / FOLDER / "other").rmdir()
        words.until(lambda: words.end_of("other") == b"said")
    other.close()
    [told] = caplog.messages
    assert told.endswith("Is a directory")


def test_what_could_not_be_taken_back_is_when_the_store_is_there_again(blocks, words, speaker, log):
    away = blocks.root.with_name("away")
    with speaker.heard("one", log):
        log.write(b"said")
        words.until(lambda: words.end_of("one") == b"said")
        blocks.root.rename(away)
    words.until(lambda: words.removals)
    away.rename(blocks.root)
    words.until(lambda: words.get("one") is None)


def test_an_executor_that_ends_takes_everything_back(words, log):
    speaker = Speaker(words, EVERY)
    with speaker.heard("one", log):
        log.write(b"said")
        words.until(lambda: words.get("one"))
    assert words.get("one"), "until its log is known to all"
    speaker.close()
    assert words.get("one") is None


def test_what_a_former_executor_showed_is_gone_on_with_and_taken_back(words, speaker, log):
    words.put("one", Words(total=6, end=b"before"))
    with speaker.heard("one", log, is_left=True):
        log.write(b"before, and after")
        words.until(lambda: words.end_of("one") == b"before, and after")
    words.until(lambda: words.get("one") is None)
    words.put("two", Words(total=6, end=b"before"))
    with speaker.heard("two", log, is_left=True):  # over before anything could be shown
        pass
    words.until(lambda: words.get("two") is None)
    words.put("three", Words(total=6, end=b"before"))
    speaker.forget("three")
    words.until(lambda: words.get("three") is None)


def test_what_executors_left_that_never_came_back_is_swept(words):
    words.put("one", Words(total=4, end=b"said"))
    now = time.time_ns()
    assert (words.sweep(now - 10**12), words.get("one")) == (0, Words(total=4, end=b"said"))
    assert (words.sweep(now + 10**12), words.get("one")) == (1, None)


def test_who_puts_the_same_name_at_the_same_time_is_not_in_the_way(blocks, words):
    """One API writes for all who share no folder with it, also for two that were handed one execution."""
    together = threading.Barrier(4, timeout=PATIENCE)

    def put(number: int) -> None:
        together.wait()
        for _ in range(100):
            words.put("one", Words(total=4, end=b"%d" % number * 4))

    with ThreadPoolExecutor(4) as several:
        for done in [several.submit(put, number) for number in range(4)]:
            done.result(PATIENCE)
    assert words.end_of("one") in {b"%d" % number * 4 for number in range(4)}
    assert [path.name for path in (blocks.root / FOLDER).iterdir()] == ["one"]


def test_what_no_executor_wrote_is_said(blocks, words):
    words.put("one", Words(total=4, end=b"said"))
    (blocks.root / FOLDER / "one").write_text("nonsense")
    with pytest.raises(StoreUnreachable, match="is not what an executor writes"):
        words.get("one")


def test_a_follower_is_told_what_it_missed():
    said = Words(total=10, end=b"6789")
    told = [said.after(told) for told in (0, 5, 6, 8, 10, 12)]
    assert told == [(6, b"6789"), (1, b"6789"), (0, b"6789"), (0, b"89"), (0, b""), (0, b"")]


def test_a_task_that_runs(tmp_path):
    go = tmp_path / "go"
    os.mkfifo(go)
    with bench(tmp_path / "bench", "process") as site, ThreadPoolExecutor(1) as beside_it:
        words = Ear(site.store.blocks.root)
        site.site.speaker.close()
        site.site.speaker = Speaker(words, EVERY, linger=0)
        attempt = site.attempt(site.spec(f"echo said; cat {go}"))
        name = name_of(attempt.ready.token)
        running = beside_it.submit(attempt.run)
        words.until(lambda: words.end_of(name) == b"said\n")
        go.write_text("heard")
        report = running.result(PATIENCE)
        assert (report.exit_code, site.log(report)) == (0, "said\nheard")
        words.until(lambda: words.get(name) is None)
