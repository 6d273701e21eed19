"""Executors that are killed, frozen, held up, told to stop: in processes of their own, over a log in Postgres."""

import os
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from schemas.claims import Aged
from schemas.reasons import Failure
from schemas.topics import Topic
from store.words import Words, name_of
from streams.postgres import PostgresLog
from tests.support.node_process import HOLD_SECONDS
from tests.support.shopfloor import PATIENCE, Node, ShopFloor, shopfloor

Floor = tuple[ShopFloor, Callable[..., Node]]
LEASE = 5_000

# It says when it runs, then waits until the test writes into the pipe, which becomes its output.
WAITS = (
    "mkfifo $TASK_OUTPUT/go; chmod 666 $TASK_OUTPUT/go; echo before; crunch-task report --progress 0.5;"
    "read -r said < $TASK_OUTPUT/go; rm $TASK_OUTPUT/go; echo $said > $TASK_OUTPUT/said; echo after"
)


@pytest.fixture
def floor(dsn: str, tmp_path: Path) -> Iterator[Floor]:
    with shopfloor(PostgresLog(dsn), tmp_path) as made:
        made[0].number("lease", LEASE)
        made[0].user("ada")
        yield made


def go(node: Node, word: str) -> None:
    """Without waiting for a reader: there may be none any more."""
    [attempt] = (node.root / "attempts").iterdir()
    node.pipes.append(os.open(attempt / "out" / "go", os.O_RDWR))
    os.write(node.pipes[-1], f"{word}\n".encode())


def test_a_step_that_keeps_the_interpreter_for_twice_the_lease_does_not_lose_the_node(floor):
    shop, start = floor
    assert HOLD_SECONDS * 1_000 > 2 * LEASE
    node = start("one")
    shop.request("t", WAITS)
    shop.wait_for(Topic.CLAIMS, "reported")
    before = len(shop.said(Topic.WORK, "alive"))
    node.send(signal.SIGUSR1)
    shop.wait_for(Topic.WORK, "alive", count=before + HOLD_SECONDS - 3)
    pausing = shop.said(Topic.WORK, "alive", pausing=True)
    assert len(pausing) >= 3, "a silent executor gets nothing new"
    assert all(len(sign.tokens) == 1 for sign in pausing)
    go(node, "said")
    done = shop.completed("t")
    assert shop.text(done.output, "said") == "said\n"
    assert (node.joinings(), shop.said(Topic.CLAIMS, "lost")) == (1, [])


# Every Python process that finds this on its path has a wall clock that is as many seconds off as the file says.
CLOCK = """
import os, time

def time_ns(real=time.time_ns):
    with open(os.environ["WALL_CLOCK"]) as file:
        return real() + int(file.read()) * 10**9

time.time_ns, time.time = time_ns, lambda: time_ns() / 10**9
"""


def test_a_wall_clock_that_jumps_ahead_and_back_ends_no_lease(floor, tmp_path):
    shop, start = floor
    clock = tmp_path / "clock"
    clock.write_text("0")
    (tmp_path / "path").mkdir()
    (tmp_path / "path" / "sitecustomize.py").write_text(CLOCK)
    path = os.pathsep.join(filter(None, [str(tmp_path / "path"), os.environ.get("PYTHONPATH")]))
    node = start("one", environment={"PYTHONPATH": path, "WALL_CLOCK": str(clock)})
    shop.request("t", WAITS)
    shop.wait_for(Topic.CLAIMS, "reported")
    for seconds in (86_400, -86_400):
        clock.write_text(str(seconds))
        shop.wait_for(Topic.WORK, "alive", count=len(shop.said(Topic.WORK, "alive")) + 6)  # beyond the lease
    go(node, "said")
    assert shop.text(shop.completed("t").output, "said") == "said\n"
    [exited] = shop.said(Topic.CLAIMS, "exited")
    assert exited.finished_at < exited.started_at, "its clock was not set back"
    assert (node.joinings(), shop.said(Topic.CLAIMS, "lost")) == (1, [])


def test_a_watchdog_that_is_killed_is_replaced_and_signs_of_life_go_on(floor):
    shop, start = floor
    node = start("one")
    shop.request("t", WAITS)
    shop.wait_for(Topic.CLAIMS, "reported")
    os.kill(node.watchdog, signal.SIGKILL)
    shop.wait_for(Topic.WORK, "alive", count=len(shop.said(Topic.WORK, "alive")) + 6)
    go(node, "said")
    assert shop.text(shop.completed("t").output, "said") == "said\n"
    assert (node.joinings(), shop.said(Topic.CLAIMS, "lost")) == (1, [])


def test_what_a_frozen_executor_held_is_done_elsewhere_and_its_own_word_never_counts(floor):
    shop, start = floor
    frozen = start("one")
    shop.request("t", WAITS)
    shop.wait_for(Topic.CLAIMS, "reported")
    os.kill(frozen.watchdog, signal.SIGSTOP)  # so that its task runs on
    frozen.send(signal.SIGSTOP)
    other = start("two")
    shop.wait_for(Topic.CLAIMS, "reported", count=2)
    go(frozen, "old")
    go(other, "new")
    done = shop.completed("t")
    assert shop.text(done.output, "said") == "new\n"
    os.kill(frozen.watchdog, signal.SIGCONT)
    frozen.send(signal.SIGCONT)
    shop.wait_until(lambda: frozen.joinings() == 2)
    assert len(shop.said(Topic.CLAIMS, "exited")) == 1, "it spoke of work that was no longer its own"
    assert len(shop.said(Topic.TASKS, "task_completed")) == 1


def test_what_a_killed_executor_s_task_said_is_taken_back_and_the_next_attempt_is_heard(floor):
    shop, start = floor
    words = shop.store.blocks.words
    node = start("one")
    shop.request("t", WAITS)
    first = name_of(shop.wait_for(Topic.CLAIMS, "started").token)
    shop.wait_until(lambda: words.get(first))
    node.kill()
    assert words.get(first) == Words(total=7, end=b"before\n")
    node.start()
    second = name_of(shop.wait_for(Topic.CLAIMS, "started", count=2).token)
    shop.wait_until(lambda: words.get(second))
    assert words.get(first) is None
    go(node, "said")
    assert shop.text(shop.completed("t").output, "said") == "said\n"


def test_told_to_end_it_finishes_what_it_holds(floor):
    shop, start = floor
    node = start("one")
    shop.request("t", WAITS)
    shop.wait_for(Topic.CLAIMS, "reported")
    node.send(signal.SIGTERM)
    shop.wait_for(Topic.WORK, "draining")
    go(node, "said")
    assert shop.text(shop.completed("t").output, "said") == "said\n"
    assert node.wait() == 0


def test_told_to_end_it_hands_over_what_is_not_done_in_time(floor):
    shop, start = floor
    node = start("one", drain=500)
    shop.request("t", WAITS)
    shop.wait_for(Topic.CLAIMS, "reported")
    node.send(signal.SIGTERM)
    assert node.wait() == 0
    exited = shop.wait_for(Topic.CLAIMS, "exited")
    assert exited.failure is Failure.HANDED_OVER
    other = start("two")
    shop.wait_for(Topic.CLAIMS, "reported", count=2)
    go(other, "said")
    assert shop.text(shop.completed("t").output, "said") == "said\n"
    assert {work.attempt for work in shop.said(Topic.WORK, "ready")} == {1}, "an orderly stop counts as no attempt"


def test_killed_while_it_verifies_another_one_verifies(floor):
    shop, start = floor
    node = start("one")
    shop.request("t", "echo made > $TASK_OUTPUT/file", fingerprint="print")
    shop.completed("t")
    shop.say(Topic.CLAIMS, Aged(before=10_000))
    (shop.folder / "store").rename(shop.folder / "away")
    shop.request("u", "false", fingerprint="print")
    shop.wait_for(Topic.WORK, "ready", kind="verify")
    shop.wait_until(lambda: any(len(sign.tokens) == 1 for sign in shop.said(Topic.WORK, "alive")[-1:]))
    node.kill()
    (shop.folder / "away").rename(shop.folder / "store")
    node.start()
    shop.wait_for(Topic.CLAIMS, "verified")
    shop.wait_for(Topic.TASKS, "task_copied", task="u")
    assert shop.said(Topic.CLAIMS, "output_missing") == []


def test_two_executors_of_one_name_the_older_one_ends(floor):
    shop, start = floor
    older = start("one")
    shop.request("t", WAITS)
    shop.wait_for(Topic.CLAIMS, "reported")
    newer = Node(shop, "one")
    newer.root = shop.folder / "elsewhere"
    try:
        newer.start()
        shop.wait_for(Topic.CLAIMS, "reported", count=2)
        assert older.wait() != 0
        go(newer, "new")
        assert shop.text(shop.completed("t").output, "said") == "new\n"
    finally:
        newer.close()


def test_a_second_executor_on_the_same_folder_is_refused(floor):
    _, start = floor
    node = start("one")
    again = subprocess.run(node.command, capture_output=True, text=True, timeout=PATIENCE)
    assert again.returncode == 1
    assert f"is in use by process {node.process.pid}" in again.stderr
    assert node.process.poll() is None
