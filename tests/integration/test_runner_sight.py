"""What a task sees, what it can do, and what it may ask for, in each runner."""

import json

import pytest

from schemas.claims import ChildQueued, Reported
from schemas.facts import Answered
from schemas.reasons import Failure, Outcome, Reason

# --- What it sees ----------------------------------------------------------------------------------------------------


def test_a_script_runs_with_its_code_arguments_and_inputs(runner):
    code = runner.save(
        {
            "bin/count.sh": "#!/bin/sh\ncat $TASK_INPUTS/text/a/words | wc -w\necho $@ $JOB_SCRIPT\n"
            "cat ${0%/*}/data $CRUNCH_SRC/bin/data\n",
            "bin/data": "d\n",
        }
    )
    text = runner.save({"a/words": "one two three"})
    report = runner.run("x", "y z", script="bin/count.sh", code=code, inputs={"text": text})
    assert runner.log(report).split() == ["3", "x", "y", "z", "bin/count.sh", "d", "d"]


@pytest.mark.parametrize(("script", "named"), [("crunch_scripts/a/b.sh", "a/b.sh"), ("a/b.sh", "a/b.sh")])
def test_a_script_is_told_its_name_as_its_job_gives_it(process, script, named):
    code = process.save({script: "#!/bin/sh\necho $JOB_SCRIPT\n"})
    assert process.log(process.run(script=script, code=code)) == f"{named}\n"


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


PARAMETERS = {"genome": "hg38", "depth": 3, "flags": {"a": [1]}, "on": True, "min-q": 0.5}
EXPECTED = {
    "JOB_UUID": "zzzzz-8i9sb-000000000000000",
    "TASK_UUID": "zzzzz-8i9sb-000000000000001",
    "TASK_SEQUENCE": "2",
    "TASK_QSEQUENCE": "5",
    "CRUNCH_SRC_COMMIT": "c" * 40,
    "TASK_PARAMETER_GENOME": "hg38",
    "TASK_PARAMETER_DEPTH": "3",
    "TASK_PARAMETER_FLAGS": None,
    "TASK_PARAMETER_ON": "true",
    "TASK_PARAMETER_MIN_Q": "0.5",
    "JOB_PARAMETER_REFERENCE": "GRCh38",
    "JOB_PARAMETER_REGIONS": '["chr1","chr2"]',
    "CRUNCH_SRC_URL": "https://example.org/tool.git",
    "CRUNCH_JOB_UUID": "zzzzz-8i9sb-000000000000000",
    "GZIP": "-n",
    "CRUNCH_NODE_SLOTS": "1",
    "TASK_SLOT_NODE": "crunch",
    "TASK_SLOT_NUMBER": "1",
    "LANG": "C.UTF-8",
    "TZ": "UTC",
    "PYTHONHASHSEED": "0",
}
FOLDERS = ["JOB_WORK", "TASK_WORK", "TASK_TMPDIR", "TASK_KEEPMOUNT", "TASK_KEEPMOUNT_TMP"]
FOLDERS += ["CRUNCH_TMP", "CRUNCH_INSTALL", "CRUNCH_WORK"]


def seen_by(bench, **fields):
    """The environment as the task's process has it."""
    report = bench.run("env -0 > $TASK_OUTPUT/env", **fields)
    return dict(item.split("=", 1) for item in bench.output(report)["env"].split("\0") if item)


def test_the_environment_is_crunchs(runner):
    bound = {"reference": "GRCh38", "regions": ["chr1", "chr2"]}
    repository = "https://example.org/tool.git"
    seen = seen_by(runner, parameters=PARAMETERS, bound=bound, commit="c" * 40, repository=repository, sequence=2)
    assert {name: seen.get(name) for name in EXPECTED} == EXPECTED
    assert [name for name in FOLDERS if not seen.get(name, "").startswith("/")] == []
    assert json.loads(seen["TASK_PARAMETERS"]) == PARAMETERS
    assert json.loads(seen["JOB_PARAMETERS"]) == bound
    assert seen["HOME"] == seen["TASK_WORK"] == seen["PWD"]


def test_what_is_put_where_crunch_has_its_writable_keep_is_captured(runner):
    report = runner.run("echo kept > $TASK_KEEPMOUNT_TMP/file")
    assert runner.output(report) == {"file": "kept\n"}


def test_a_pure_task_sees_the_jobs_parameters_that_it_names_and_no_others(runner):
    """Of its job's, what is bound into it; of itself, nothing that its fingerprint does not hold."""
    seen = seen_by(runner, is_pure=True, bound={"named": "x"}, repository="https://example.org/tool.git")
    assert [name for name in seen if name.startswith("JOB_PARAMETER_")] == ["JOB_PARAMETER_NAMED"]
    assert json.loads(seen["JOB_PARAMETERS"]) == {"named": "x"}
    assert "CRUNCH_SRC_URL" not in seen


def test_nothing_of_the_hosts_is_in_the_environment(runner, monkeypatch):
    monkeypatch.setenv("SECRET_OF_THE_HOST", "leaked")
    others = {name for name in seen_by(runner) if not name.startswith(("TASK_", "JOB_", "CRUNCH_", "LC_", "PYTHON"))}
    made_here = {"PATH", "HOME", "TMPDIR", "LANG", "TZ", "GZIP", "SOURCE_DATE_EPOCH"}
    assert others - made_here <= {"PWD", "OLDPWD", "SHLVL", "_", "HOSTNAME"}  # a shell's and an engine's own


def test_parameters_too_long_for_the_environment_are_in_the_file(runner):
    report = runner.run(
        "wc -c < $TASK_PARAMETERS_FILE; echo ${TASK_PARAMETER_LONG-unset}", parameters={"long": "x" * 150_000}
    )
    size, value = runner.log(report).split()
    assert (int(size) > 150_000, value) == (True, "unset")


# --- What it can do: see test_escapes.py for what it tries in order to break out --------------------------------------


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
