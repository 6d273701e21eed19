"""What a task leaves and how it ends, in each runner."""

import os
import threading
from typing import Any

import pytest

from consumers.runners.cgroups import find
from consumers.runners.reap import marked
from consumers.runners.supervise import GRACE_SECONDS
from schemas.facts import Answered
from schemas.reasons import Failure, Outcome
from tests.support.attempts import NOTHING, Bench, bench

# --- What it leaves --------------------------------------------------------------------------------------------------


def test_output_and_log_are_captured(runner):
    report = runner.run(
        "mkdir $TASK_OUTPUT/d; echo out; echo err >&2; echo content > $TASK_OUTPUT/d/file; : > $TASK_OUTPUT/e"
    )
    assert (report.exit_code, report.failure, report.reason) == (0, Failure.NONE, "")
    assert runner.output(report) == {"d/file": "content\n", "e": ""}
    assert sorted(runner.log(report).splitlines()) == ["err", "out"]
    assert 0 < report.started_at <= report.finished_at
    assert (report.token, report.fingerprint, report.node) == ("token-1", "print-token-1", "node-1")


def test_nothing_of_an_attempt_stays_on_the_node(runner):
    runner.run("echo > $TASK_OUTPUT/file; echo > $TASK_WORK/file")
    runner.site.broom.close()
    assert list(runner.site.attempts.iterdir()) == []
    assert list(runner.site.sockets.iterdir()) == []


def test_a_task_that_leaves_nothing_has_an_empty_output(runner):
    report = runner.run("true")
    assert (report.failure, report.output) == (Failure.NONE, NOTHING)


def test_only_declared_outputs_are_kept(runner):
    report = runner.run(
        "cd $TASK_OUTPUT; mkdir d; echo 1 > d/x; echo 2 > d/y; echo 3 > z; echo 4 > w", outputs=("d", "z")
    )
    assert runner.output(report) == {"d/x": "1\n", "d/y": "2\n", "z": "3\n"}


def test_a_declared_output_that_is_missing_is_named(runner):
    report = runner.run("echo > $TASK_OUTPUT/other", outputs=("result.txt",))
    assert (report.exit_code, report.failure, report.output) == (0, Failure.OUTPUT, "")
    assert report.reason == "output result.txt is missing: the task declared it and did not leave it"
    assert report.reason in runner.log(report)


@pytest.mark.parametrize(
    ("command", "outputs", "named"),
    [
        ("ln -s /etc/passwd $TASK_OUTPUT/link", (), "output link is refused: it is a symbolic link"),
        ("ln -s /etc/passwd $TASK_OUTPUT/link", ("link",), "output link is refused: link is a symbolic link"),
        ("ln -s /etc $TASK_OUTPUT/d", ("d/passwd",), "output d/passwd is refused: d is a symbolic link"),
        ("ln -s ../.. $TASK_OUTPUT/up", (), "output up is refused: it is a symbolic link"),
        ("mkfifo $TASK_OUTPUT/pipe", (), "output pipe is refused: it is a named pipe"),
        ("true", ("n" * 300,), f"output {'n' * 300} can't be taken: File name too long"),
        ("true", ("../../store",), "output ../../store leads out of the output directory"),
        ("true", ("/etc/passwd",), "output /etc/passwd leads out of the output directory"),
    ],
)
def test_what_climbs_out_of_the_output_directory_is_refused_by_name(runner, command, outputs, named):
    report = runner.run(command, outputs=outputs)
    assert (report.failure, report.output) == (Failure.OUTPUT, "")
    assert report.reason.startswith(named)


def test_output_beyond_its_limit_ends_the_task(runner):
    script = "i=0; while :; do i=$((i+1)); dd if=/dev/zero of=$TASK_OUTPUT/$i bs=1M count=4 2>/dev/null; done"
    report = runner.run(script, scratch=32)
    assert (report.failure, report.output) == (Failure.OUTPUT, "")
    assert report.reason == "its output grew beyond 32 MiB: ask for more in resources.scratch"


EMPTY_FILES = """
import os, time
for number in range(9000):
    open(os.path.join(os.environ["TASK_OUTPUT"], str(number)), "w").close()
time.sleep(60)
"""


def test_files_that_hold_nothing_count_too(runner):
    report = runner.run("python3", "-c", EMPTY_FILES, scratch=32)
    assert report.failure is Failure.OUTPUT
    assert report.reason == (
        "its output grew beyond 32 MiB, each file and directory counted as 4 KiB at least:"
        " ask for more in resources.scratch"
    )


DEEP = """
import os, time
os.chdir(os.environ["TASK_OUTPUT"])
for _ in range(17):
    os.mkdir("d" * 250)
    os.chdir("d" * 250)
time.sleep(60)
"""


def test_an_output_too_deep_to_be_looked_into_is_the_tasks_own_fault(runner):
    report = runner.run("python3", "-c", DEEP)
    assert report.failure is Failure.OUTPUT
    assert "in its output can't be looked into (File name too long): leave directories readable" in report.reason


def test_an_output_directory_that_is_removed_is_the_tasks_own_fault(process):
    report = process.run("rm -rf $TASK_OUTPUT; sleep 1")
    assert (report.exit_code, report.failure, report.output) == (0, Failure.OUTPUT, "")
    assert "can't be read: No such file or directory" in report.reason


def test_scratch_space_without_a_file_system_of_its_own_is_watched(process):
    script = "for i in 1 2 3 4; do dd if=/dev/zero of=$TASK_WORK/$i bs=1M count=16 2>/dev/null; done; sleep 60"
    report = process.run(script, scratch=32)
    assert report.failure is Failure.OUTPUT
    assert report.reason == "its scratch space grew beyond 32 MiB: ask for more in resources.scratch"


def test_a_file_beyond_its_limit_is_refused_by_the_system(runner):
    report = runner.run("dd if=/dev/zero of=$TASK_OUTPUT/big bs=1M count=100", scratch=32)
    assert report.failure in (Failure.EXIT, Failure.OUTPUT)
    assert report.output == ""


# --- How it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "failure"),
    [
        ("exit 3", 3, Failure.EXIT),
        ("exit 111", 111, Failure.EXIT),
        ("kill -9 $$", 137, Failure.SIGNAL),
        ("kill -TERM $$", 143, Failure.SIGNAL),
    ],
)
def test_exit_codes_are_as_they_are(runner, command, code, failure):
    report = runner.run(command)
    assert (report.exit_code, report.failure) == (code, failure)


def test_a_program_that_is_not_there_says_so(runner):
    report = runner.run("no-such-program", "--help")
    assert (report.exit_code, report.failure) == (127, Failure.EXIT)
    assert "not found" in report.reason


def test_a_task_that_talks_like_bubblewrap_has_failed_itself(runner):
    report = runner.run("echo 'bwrap: no room' >&2; exit 1")
    assert (report.exit_code, report.failure, report.reason) == (1, Failure.EXIT, "exit code 1")


@pytest.mark.needs("bubblewrap")
def test_a_sandbox_that_can_not_be_made_is_the_nodes_trouble(tmp_path, monkeypatch):
    monkeypatch.setattr("consumers.runners.bubblewrap._EXEC", ("/no/shell",))
    with bench(tmp_path, "bubblewrap") as made:
        report = made.run("true")
    assert (report.exit_code, report.failure) == (-1, Failure.NODE)
    assert report.reason == "no sandbox: bwrap: execvp /no/shell: No such file or directory"


@pytest.mark.parametrize(("code", "failure"), [(3, Failure.OUTPUT), (111, Failure.TEMPORARY)])
def test_a_task_whose_output_can_not_be_taken_does_not_succeed_by_its_word(runner, code, failure):
    report = runner.run(f"crunch-task report --success true; ln -s /etc/passwd $TASK_OUTPUT/link; exit {code}")
    assert (report.exit_code, report.failure, report.output) == (code, failure, "")
    assert report.reason.startswith(f"exit code {code}")
    assert "; output link is refused: it is a symbolic link" in report.reason


def test_a_failed_task_may_have_an_output_all_the_same(runner):
    report = runner.run("echo partial > $TASK_OUTPUT/file; exit 1")
    assert (report.failure, runner.output(report)) == (Failure.EXIT, {"file": "partial\n"})


def test_a_task_that_never_ends_is_ended(runner):
    report = runner.run("trap '' INT TERM; while :; do sleep 1000; done", timeout=1_000)
    assert report.failure is Failure.TIMEOUT
    assert report.reason.startswith("timeout: still running after 1 s")
    assert left_by(runner) == []


def test_what_a_task_leaves_in_the_background_ends_with_it(runner):
    report = runner.run("setsid sleep 1000 & (sleep 1001 &) ; echo done")
    assert (report.failure, runner.log(report)) == (Failure.NONE, "done\n")
    assert left_by(runner) == []


def test_out_of_memory_is_told_apart(runner):
    report = runner.run("python3", "-c", "x = bytearray(2**30); print(len(x))", memory=64)
    if runner.image or not isinstance(find(), str):
        assert report.failure is Failure.OUT_OF_MEMORY
        assert "resources.memory" in report.reason
    else:  # an rlimit refuses the memory, and the program says so itself
        assert report.failure is Failure.EXIT
        assert "MemoryError" in runner.log(report)


def test_much_talk_is_kept_within_bounds(runner):
    report = runner.run("echo first; head -c 100000000 /dev/zero | tr '\\0' 'x'; echo; echo last")
    assert report.failure is Failure.NONE
    [log] = runner.store.files(report.log)
    assert log.size < 17 * 2**20
    text = runner.log(report)
    assert text.startswith("first\nxxx")
    assert text.endswith("xxx\nlast\n")
    assert f"\n[{100_000_012 - 16 * 2**20} bytes left out: at most {16 * 2**20} are kept]\n" in text


def test_cancelled_work_gets_int_term_and_kill(runner):
    script = (
        "trap 'echo int' INT; trap 'echo term' TERM; crunch-task report --progress 0.5; while :; do sleep 0.05; done"
    )
    assert runner.site.grace_seconds == GRACE_SECONDS  # see tests/scenarios/test_supervision.py
    runner.site.grace_seconds = 0.5
    attempt = runner.attempt(runner.spec(script))
    running = threading.Event()
    runner.asked.append_and_wait = lambda *_: running.set() or Answered(outcome=Outcome.DONE)
    reports = []
    thread = threading.Thread(target=lambda: reports.append(attempt.run()))
    thread.start()
    assert running.wait(60)
    attempt.stop(grace=True)
    thread.join()
    assert (reports[0].exit_code, reports[0].failure) == (137, Failure.SIGNAL)
    assert [line for line in runner.log(reports[0]).splitlines() if line in ("int", "term")] == ["int", "term"]


def left_by(runner: Bench) -> list[int]:
    return list(marked(runner.site.key))


# Leaves session, process group, environment and parent behind, and has nothing of its task's open but this pipe.
ESCAPE = """
mkfifo $TASK_OUTPUT/alive && crunch-task report --progress 0.5 && exec 3> $TASK_OUTPUT/alive && rm $TASK_OUTPUT/alive
(env -i setsid sleep 1000 < /dev/null > /dev/null 2>&1 &)
exec 3>&-
"""


def test_what_leaves_even_its_environment_behind_ends_with_the_task(holding: Bench):
    ends: list[int] = []

    def reported(*_: Any) -> Answered:
        [attempt] = holding.site.attempts.iterdir()
        ends.append(os.open(attempt / "out" / "alive", os.O_RDONLY | os.O_NONBLOCK))
        return Answered(outcome=Outcome.DONE)

    holding.asked.append_and_wait = reported
    report = holding.run(ESCAPE)
    assert (report.exit_code, holding.log(report)) == (0, "")
    [alive] = ends
    assert os.read(alive, 1) == b"", "somebody still holds it"
    os.close(alive)
