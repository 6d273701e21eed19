"""What a task sees, says and leaves, in each runner: the same everywhere but for what isolation is about."""

import json
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from consumers.runners.reap import marked
from schemas.claims import ChildQueued, Reported
from schemas.facts import Answered
from schemas.reasons import Failure, Outcome, Reason
from tests.support.attempts import NOTHING, Bench, bench

IN_ANY = ["process", pytest.param("bubblewrap", marks=pytest.mark.needs("bubblewrap")), "docker"]
ISOLATED = IN_ANY[1:]


@pytest.fixture(params=IN_ANY)
def runner(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from _bench(request, tmp_path)


@pytest.fixture(params=ISOLATED)
def isolated(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Bench]:
    yield from _bench(request, tmp_path)


@pytest.fixture
def process(tmp_path: Path) -> Iterator[Bench]:
    with bench(tmp_path, "process") as made:
        yield made


def _bench(request: pytest.FixtureRequest, folder: Path) -> Iterator[Bench]:
    if request.param != "docker":
        with bench(folder, request.param) as made:
            yield made
        return
    engine, image = request.getfixturevalue("docker_engine"), request.getfixturevalue("python_image")
    with bench(folder, "docker", engine, image) as made:
        yield made


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


def test_a_file_beyond_its_limit_is_refused_by_the_system(runner):
    report = runner.run("dd if=/dev/zero of=$TASK_OUTPUT/big bs=1M count=100", scratch=32)
    assert report.failure in (Failure.EXIT, Failure.OUTPUT)
    assert report.output == ""


# --- How it ends -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "code", "failure"),
    [
        ("exit 3", 3, Failure.EXIT),
        ("exit 111", 111, Failure.TEMPORARY),
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


def test_a_failed_task_may_have_an_output_all_the_same(runner):
    report = runner.run("echo partial > $TASK_OUTPUT/file; exit 1")
    assert (report.failure, runner.output(report)) == (Failure.EXIT, {"file": "partial\n"})


def test_a_task_that_never_ends_is_ended(runner):
    report = runner.run("trap '' INT TERM; while :; do sleep 1000; done", timeout=1_000)
    assert report.failure is Failure.TIMEOUT
    assert report.reason.startswith("timeout: still running after 1 s")
    assert left_by(runner) == []


def test_a_task_that_forks_without_end_is_ended_and_leaves_nothing(runner):
    report = runner.run("bomb() { bomb | bomb & }; bomb; sleep 1000", timeout=3_000)
    assert report.failure is Failure.TIMEOUT
    assert "fork" in runner.log(report).lower()
    assert left_by(runner) == []


def test_what_a_task_leaves_in_the_background_ends_with_it(runner):
    report = runner.run("setsid sleep 1000 & (sleep 1001 &) ; echo done")
    assert (report.failure, runner.log(report)) == (Failure.NONE, "done\n")
    assert left_by(runner) == []


def test_out_of_memory_is_told_apart(runner):
    report = runner.run("python3", "-c", "x = bytearray(2**30); print(len(x))", memory=64)
    assert report.failure is Failure.OUT_OF_MEMORY
    assert "resources.memory" in report.reason


def test_a_gigabyte_of_output_is_kept_within_bounds(runner):
    report = runner.run("echo first; head -c 1000000000 /dev/zero | tr '\\0' 'x'; echo; echo last")
    assert report.failure is Failure.NONE
    [log] = runner.store.files(report.log)
    assert log.size < 17 * 2**20
    text = runner.log(report)
    assert text.startswith("first\nxxx")
    assert text.endswith("xxx\nlast\n")
    assert f"\n[{1_000_000_012 - 16 * 2**20} bytes left out: at most {16 * 2**20} are kept]\n" in text


def test_cancelled_work_gets_int_term_and_kill(runner):
    script = (
        "trap 'echo int' INT; trap 'echo term' TERM; crunch-task report --progress 0.5; while :; do sleep 0.05; done"
    )
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


# --- What it sees ----------------------------------------------------------------------------------------------------


def test_a_script_runs_with_its_code_arguments_and_inputs(runner):
    code = runner.save(
        {
            "bin/count.sh": '#!/bin/sh\ncat $TASK_INPUTS/text/a/words | wc -w\necho "$@"\ncat ${0%/*}/data\n',
            "bin/data": "d\n",
        }
    )
    text = runner.save({"a/words": "one two three"})
    report = runner.run("x", "y z", script="bin/count.sh", code=code, inputs={"text": text})
    assert runner.log(report).split() == ["3", "x", "y", "z", "d"]


def test_an_input_is_seen_by_name_and_by_hash_and_cannot_be_changed(runner):
    pdh = runner.save({"file": "content"})
    same = '[ "$(cd $TASK_INPUTS/in && pwd -P)" = "$(cd $TASK_KEEPMOUNT/$1 && pwd -P)" ] && echo same'
    script = f"cat $TASK_KEEPMOUNT/$1/file; {same}"
    report = runner.run("sh", "-c", script, "sh", pdh, inputs={"in": pdh})
    assert runner.log(report) == "contentsame\n"


@pytest.mark.parametrize(
    ("script", "code", "reason"),
    [
        ("no.py", 127, "script no.py is not in the code"),
        ("data.txt", 126, "script data.txt is no program: begin it with a line such as #!/usr/bin/env python3"),
    ],
)
def test_a_script_that_cannot_run_is_refused_in_words(process, script, code, reason):
    report = process.run(script=script, code=process.save({"data.txt": "print(1)"}))
    assert (report.exit_code, report.failure, report.reason) == (code, Failure.EXIT, reason)


def test_the_environment_is_crunchs_and_nothing_of_the_hosts(runner, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "leaked")
    report = runner.run(
        "env -0 > $TASK_OUTPUT/env",
        parameters={"genome": "hg38", "depth": 3, "flags": {"a": [1]}, "on": True, "min-q": 0.5},
        bound={"reference": "GRCh38", "regions": ["chr1", "chr2"]},
        commit="c" * 40,
        sequence=2,
    )
    seen = dict(item.split("=", 1) for item in runner.output(report)["env"].split("\0") if item)
    expected = {
        "JOB_UUID": "zzzzz-8i9sb-000000000000000",
        "TASK_UUID": "zzzzz-8i9sb-000000000000001",
        "TASK_SEQUENCE": "2",
        "CRUNCH_SRC_COMMIT": "c" * 40,
        "TASK_PARAMETER_GENOME": "hg38",
        "TASK_PARAMETER_DEPTH": "3",
        "TASK_PARAMETER_ON": "true",
        "TASK_PARAMETER_MIN_Q": "0.5",
        "JOB_PARAMETER_REFERENCE": "GRCh38",
        "JOB_PARAMETER_REGIONS": '["chr1","chr2"]',
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "PYTHONHASHSEED": "0",
    }
    assert {name: seen.get(name) for name in expected} == expected
    assert json.loads(seen["TASK_PARAMETERS"]) == {
        "genome": "hg38",
        "depth": 3,
        "flags": {"a": [1]},
        "on": True,
        "min-q": 0.5,
    }
    assert seen["HOME"] == seen["TASK_WORK"] == seen["PWD"]
    assert "TASK_PARAMETER_FLAGS" not in seen
    known = ("TASK_", "JOB_", "CRUNCH_", "LC_", "PYTHON")
    others = {name for name in seen if not name.startswith(known)}
    assert others <= {
        "PATH",
        "HOME",
        "PWD",
        "TMPDIR",
        "LANG",
        "TZ",
        "GZIP",
        "SOURCE_DATE_EPOCH",
        "HOSTNAME",
        "SHLVL",
        "_",
        "OLDPWD",
    }


def test_parameters_too_long_for_the_environment_are_in_the_file(runner):
    report = runner.run(
        "wc -c < $TASK_PARAMETERS_FILE; echo ${TASK_PARAMETER_LONG-unset}", parameters={"long": "x" * 150_000}
    )
    size, value = runner.log(report).split()
    assert (int(size) > 150_000, value) == (True, "unset")


# --- What it can do: each succeeds without isolation, to show that the test can fail ---------------------------------

LISTENER = """
import socket, sys
try:
    socket.create_connection(("127.0.0.1", int(sys.argv[1])), 2)
    print("connected")
except OSError as error:
    print("refused", error)
"""


@pytest.fixture
def port() -> Iterator[str]:
    import socket

    with socket.create_server(("127.0.0.1", 0)) as server:
        yield str(server.getsockname()[1])


def test_no_network(isolated, port):
    assert isolated.log(isolated.run("python3", "-c", LISTENER, port)).startswith("refused")


def test_network_without_isolation(process, port):
    assert process.log(process.run("python3", "-c", LISTENER, port)) == "connected\n"


@pytest.mark.parametrize(
    "path",
    ["/usr/bin/evil", "/etc/evil", "/evil", "/inputs/evil", "/dev/evil", "/opt/crunch/evil", "/code/evil", "/run/evil"],
)
def test_the_root_is_read_only(isolated, path):
    report = isolated.run(f"echo > {path}", code=isolated.save({"x": "y"}))
    assert report.exit_code != 0


def test_only_declared_inputs_are_there(isolated):
    other = isolated.save({"secret": "of another task"})
    mine = isolated.save({"file": "mine"})
    isolated.run("true", inputs={"other": other})
    report = isolated.run(
        f"ls $TASK_KEEPMOUNT; cat {isolated.folder}/store/*/* ; ls {isolated.folder}", inputs={"in": mine}
    )
    assert isolated.log(report).split("\n", 1)[0] == mine
    assert "secret" not in isolated.log(report)
    assert report.exit_code != 0


def test_other_inputs_are_readable_without_isolation(process):
    assert process.run(f"cat {process.folder}/store/*/*", inputs={"in": process.save({"file": "x"})}).exit_code == 0


def test_inputs_are_read_only(isolated):
    pdh = isolated.save({"file": "content"})
    report = isolated.run(
        "chmod u+w $TASK_INPUTS/in/file; echo x > $TASK_INPUTS/in/file; echo > $TASK_INPUTS/in/new", inputs={"in": pdh}
    )
    assert report.exit_code != 0
    assert isolated.log(isolated.run("cat $TASK_INPUTS/in/*", inputs={"in": pdh})) == "content"


def test_no_other_process_no_capability_and_not_root(isolated):
    report = isolated.run(
        "id -u; grep -E '^(CapEff|CapBnd|CapPrm|NoNewPrivs):' /proc/self/status; ls /proc | grep -c '^[0-9]'"
    )
    user, *capabilities, processes = isolated.log(report).split("\n")[:-1]
    assert int(user) > 0
    assert {line.split()[0]: int(line.split()[1], 16) for line in capabilities} == {
        "CapPrm:": 0,
        "CapEff:": 0,
        "CapBnd:": 0,
        "NoNewPrivs:": 1,
    }
    assert int(processes) < 10


def test_scratch_is_bounded(isolated):
    report = isolated.run("for n in 1 2 3; do dd if=/dev/zero of=$TASK_WORK/$n bs=1M count=30; done", scratch=32)
    assert report.exit_code != 0
    assert "No space left" in isolated.log(report) or "File too large" in isolated.log(report)


def test_two_attempts_look_the_same(isolated):
    script = "env | sort; pwd; ls -R /code /inputs /keep /out /scratch /run/crunch 2>&1; hostname; id"
    one, two = (isolated.log(isolated.run(script, code=isolated.save({"a": "b"}))) for _ in range(2))
    assert one == two


# --- What it may ask for ---------------------------------------------------------------------------------------------


def test_a_task_queues_others_and_reports(runner):
    pdh = runner.save({"chr1.fa": "ACGT", "chr2.fa": "TTTT"})
    script = """
        crunch-task report --progress 0.25 && crunch-task report --success true &&
        printf '{"inputs": {"part": "genome/chr1.fa"}, "parameters": {"k": 1.0}, "is_pure": true}\\n{"command": ["true"], "sequence": 5}' |
        crunch-task queue > $TASK_OUTPUT/uuids
    """  # noqa: E501
    spec = runner.spec(script, inputs={"genome": pdh})
    report = runner.attempt(spec).run()
    assert runner.log(report) == ""
    progress, success, first, second = runner.asked.commands
    assert (type(progress), progress.progress, success.success) == (Reported, 250, True)
    assert (type(first), first.spec.is_pure, bytes(first.spec.parameters)) == (ChildQueued, True, b'{"k":1}')
    assert first.spec.command == spec.command
    assert first.spec.sequence == 1
    assert {file.path for file in runner.store.files(first.spec.inputs["part"])} == {"chr1.fa"}
    assert (second.spec.command, second.spec.sequence) == (("true",), 5)
    assert runner.output(report)["uuids"].split() == [first.child, second.child]


def test_a_refusal_reaches_the_script_in_words(runner):
    runner.asked.answer = Answered(outcome=Outcome.REFUSED, reason=Reason.TOO_MANY_CHILDREN, detail="at most 2")
    report = runner.run("echo '{}' | crunch-task queue")
    assert (report.exit_code, runner.log(report).splitlines()[0]) == (
        1,
        "crunch-task: refused (too_many_children): at most 2",
    )
