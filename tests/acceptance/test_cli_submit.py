"""`submit` and what one looks at it with: reuse between processes, refusals that name the field, jobs that go wrong."""

import json
import os
import re
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from resource import RLIMIT_FSIZE, setrlimit

import pytest

from gateway import submit
from gateway.client import Client
from gateway.problems import Problem
from schemas.topics import Topic
from streams.log import Place
from tests.support.crunch import Crunch, Up, done, one_line, said

HASH = """
name: {name}
repository: scripts
script: split.py
inputs: {{tree: {tree}}}
parameters: {{k: 3}}
is_pure: true
"""
EXAMPLES = Path(__file__).resolve().parents[2] / "examples"


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    root = tmp_path_factory.mktemp("submit")
    (root / "home").mkdir()
    with Crunch(root / "home", root / "data").up() as up:
        yield up


@pytest.fixture
def crunch(up: Up) -> Crunch:
    assert up.process.poll() is None, "`up` has ended"
    return up.crunch


def job(folder: Path, description: str | dict[str, object], name: str = "job.yaml") -> Path:
    file = folder / name
    file.write_text(description if isinstance(description, str) else json.dumps(description))
    return file


def hash_job(folder: Path, files: dict[str, str], name: str = "hash") -> Path:
    tree = folder / f"tree-{name}"
    tree.mkdir()
    for file, text in files.items():
        (tree / file).write_text(text)
    if not (folder / "scripts").exists():
        (folder / "scripts").symlink_to(EXAMPLES / "hash" / "crunch_scripts")
    return job(folder, HASH.format(name=name, tree=tree.name), f"{name}.yaml")


# --- Reuse ------------------------------------------------------------------------------------------------------------


def test_ten_processes_at_once_execute_each_distinct_task_once(crunch: Crunch, tmp_path: Path) -> None:
    file = hash_job(tmp_path, {name: f"{name} {tmp_path}" for name in "abcd"})
    finished = [done(process) for process in [crunch.start("submit", "--json", str(file)) for _ in range(10)]]
    assert [one.code for one in finished] == [0] * 10, finished
    counts = [one.json["counts"] for one in finished]
    assert sum(count["complete"] for count in counts) == 5
    assert sum(count["copied"] for count in counts) == 45
    assert sum(count["started"] for count in counts) == 5
    assert len({one.json["job"]["output"] for one in finished}) == 1
    assert crunch.run("audit", "verify").code == 0


def test_one_more_file_executes_one_more_task(crunch: Crunch, tmp_path: Path) -> None:
    files = {name: f"{name} of {tmp_path}" for name in "abc"}
    assert crunch.run("submit", str(hash_job(tmp_path, files))).code == 0
    more = crunch.run("submit", "--json", str(hash_job(tmp_path, files | {"d": "new"}, "more"))).json
    assert (more["counts"]["complete"], more["counts"]["copied"]) == (2, 3)
    assert more["counts"]["saved"] > 0


def test_the_examples_run_and_are_copied_when_run_again(crunch: Crunch) -> None:
    for file in (EXAMPLES / "hash" / "job.yaml", EXAMPLES / "lines" / "job.json"):
        first, second = (crunch.run("submit", "--json", str(file)).json for _ in range(2))
        assert (first["job"]["state"], second["counts"]["complete"]) == ("complete", 0)
        assert second["job"]["output"] == first["job"]["output"]


def test_what_the_fingerprint_leaves_out_does_not_prevent_a_copy(crunch: Crunch, tmp_path: Path) -> None:
    same = {"command": f"echo {tmp_path} > $TASK_OUTPUT/x", "is_pure": True}
    crunch.run("submit", str(job(tmp_path, same, "one.json")))
    other = same | {"name": "other", "priority": 7, "resources": {"cores": 1, "memory": "64MiB"}}
    again = crunch.run("submit", "--json", str(job(tmp_path, other, "two.json"))).json
    assert again["counts"]["copied"] == 1


# --- Looking on ---------------------------------------------------------------------------------------------------


def test_a_job_its_tree_its_explanation_and_its_output(crunch: Crunch, tmp_path: Path) -> None:
    file = hash_job(tmp_path, {"one": str(tmp_path)})
    first, second = crunch.submit(file), crunch.submit(file)
    assert crunch.run("job", first, "--follow").code == 0
    shown = crunch.run("job", second, "--follow")
    assert shown.code == 0
    assert "2 tasks: 0 executed, 2 copied" in shown.out
    assert f"of {first}" in shown.out
    assert second in crunch.run("jobs").out
    [split, count] = crunch.tasks(second)
    assert "the output of hash" in crunch.run("explain", split.task).out
    assert crunch.run("explain", count.task, "--json").json["explanation"]["how"] == "reused"
    assert crunch.run("get", second, str(tmp_path / "out")).code == 0
    assert json.loads((tmp_path / "out" / "one.json").read_text())["bytes"] == len(str(tmp_path))


def test_a_script_s_words_are_kept(crunch: Crunch, tmp_path: Path) -> None:
    root = crunch.submit(job(tmp_path, "command: echo heard; echo warned >&2\n"))
    crunch.until_state(root, "complete")
    [task] = crunch.tasks(root)
    assert {"heard", "warned"} <= set(crunch.run("log", task.task).out.splitlines())


def test_dry_run_shows_the_request_and_asks_nothing(crunch: Crunch, tmp_path: Path) -> None:
    file = job(tmp_path, {"command": "true", "name": str(tmp_path), "is_pure": True}, "job.json")
    shown = crunch.run("submit", "--dry-run", "--json", str(file))
    assert shown.json["spec"]["task"]["is_pure"] is True
    assert [one["would"] for one in shown.json["forecast"]] == ["execute"]
    assert str(tmp_path) not in crunch.run("jobs", "--limit", "1000").out
    assert crunch.run("submit", str(file)).code == 0
    said = crunch.run("submit", "--dry-run", str(file)).out.splitlines()[-1]
    assert said.startswith(f"{tmp_path} would be given the output of {tmp_path} (")


def test_dry_run_needs_no_up_and_submit_says_how_to_start_one(crunch: Crunch, tmp_path: Path) -> None:
    elsewhere = Crunch(crunch.home, tmp_path / "elsewhere")
    file = job(tmp_path, "command: 'true'\n")
    shown = elsewhere.run("submit", "--dry-run", str(file))
    assert shown.code == 0
    assert "what would become of it is not known: " in shown.err
    refused = elsewhere.run("submit", str(file))
    assert refused.code == 2
    assert f"crunch-reuse up --data-dir {elsewhere.data}" in one_line(refused)


def test_other_users_see_nothing_until_they_may(crunch: Crunch, tmp_path: Path) -> None:
    crunch.run("user", "add", "ada")
    crunch.run("user", "add", "bob")
    file = job(tmp_path, {"command": f"echo {tmp_path} > $TASK_OUTPUT/x", "is_pure": True}, "job.json")
    root = crunch.run("submit", "--as", "ada", "--json", str(file)).json["job"]["root"]
    hidden = crunch.run("job", root, "--as", "bob")
    assert hidden.code == 3
    assert "sees no job" in one_line(hidden)
    assert crunch.run("cancel", root, "--as", "bob").code == 3
    assert crunch.run("submit", "--as", "bob", "--json", str(file)).json["counts"]["complete"] == 1
    assert crunch.run("grant", "add", "bob", "ada").code == 0
    assert crunch.run("job", root, "--as", "bob").code == 0
    assert crunch.run("cancel", root, "--as", "bob").code == 3
    assert crunch.run("grant", "remove", "bob", "ada").code == 0
    assert crunch.run("job", root, "--as", "bob").code == 3


def test_interrupting_submit_leaves_the_job_running_and_cancel_ends_it(crunch: Crunch, tmp_path: Path) -> None:
    mark = f"3{abs(hash(tmp_path)) % 10**6:06d}"
    process = crunch.start("submit", str(job(tmp_path, f"command: sleep {mark}\n")))
    assert process.stderr
    root = process.stderr.readline().split()[-1]
    crunch.until_running(root)
    process.send_signal(signal.SIGINT)
    ended = done(process)
    assert ended.code == 130
    assert f"the job goes on; follow it with: crunch-reuse job {root}" in ended.err
    assert said(f"sleep {mark}")
    assert crunch.run("cancel", root).code == 0
    crunch.until_state(root, "cancelled")
    assert crunch.run("job", root).code == 1
    assert "was cancelled already" in crunch.run("cancel", root).out


# --- Refused --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ("comand: x\n", "comand: no such key: did you mean command?"),
        ("name: x\n", "script: nothing to run"),
        ("command: x\nshare: all\n", "share: must be visible or by_inputs"),
        ("command: x\nparameters: [1]\n", "parameters: must be a mapping"),
        ("command: x\nparameters: {a: .nan}\n", "parameters.a: nan is not JSON"),
        (
            "command: x\nparameters: {a: {b: 1152921504606846976}}\n",
            "parameters.a.b: 1152921504606846976 is an integer",
        ),
        ("command: x\nparameters:\n  a: 1\n  a: 2\n", "line 4: 'a' stands twice"),
        (f"command: x\nparameters: {{a: {'[' * 1500}{']' * 1500}}}\n", "nested more than 64 levels deep"),
        (f"command: x\nparameters: {{a: '{'x' * 300_000}'}}\n", "parameters.a: larger than 262144 bytes"),
        (f"command: x\nparameters: {{a: '{'x' * 10_000_000}'}}\n", "larger than 1048576 bytes"),
        ("command: x\nparameters: {a: zzzzz-4zz18-000000000000000}\n", "must use portable_data_hash instead"),
        ("command: x\ninputs: {tree: nothing-here}\n", "inputs.tree: there is no file or folder"),
        ("command: x\ninputs: {tree: 0123456789abcdef0123456789abcdef+12}\n", "inputs.tree: block 0123456789abcdef"),
        ("command: x\ninputs: {../tree: job.yaml}\n", "the name '../tree' can't be a folder's"),
        ("command: x\noutputs: [../../etc]\n", "outputs[0]: '../../etc' leads out of its folder"),
        ("script: ../x.sh\n", "script: '../x.sh' leads out of its folder"),
        ("script: nothing.sh\n", "script: nothing.sh is not in the job file's folder"),
        ("repository: nowhere\nscript: x\n", "repository: there is no folder"),
        ("repository: nowhere\ncommit: main\nscript: x\n", "repository: "),
        ("command: x\nis_pure: yes please\n", "is_pure: must be true or false"),
        ("command: x\nresources: {memory: lots}\n", "resources.memory: must be a size"),
        ("command: x\nresources: {cores: 0}\n", "resources.cores: must be a whole number from 1"),
        ("command: x\ntimeout: soon\n", "timeout: must be a time"),
        ("command: x\njob_parameters: [genome]\n", "job_parameters: 'genome' is none of this job's parameters"),
        ("command: x\n  name: y\n", "line 2: not YAML"),
        ("- command: x\n", "a job file is a mapping"),
    ],
)
def test_a_malformed_job_file_is_one_line_that_names_the_field(
    crunch: Crunch, tmp_path: Path, description: str, told: str
) -> None:
    refused = crunch.run("submit", str(job(tmp_path, description)))
    assert (refused.code, refused.out) == (3, "")
    assert told in one_line(refused)
    assert "job.yaml" in one_line(refused)


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A git repository whose branch `main` has a script that the working tree has not."""
    root = tmp_path / "repository"
    root.mkdir()
    (root / "run.sh").write_text("#!/bin/sh\necho committed > $TASK_OUTPUT/x\n")
    who = ("-c", "user.name=a", "-c", "user.email=a@b.c", "-c", "commit.gpgsign=false")
    for command in (["init", "-q", "-b", "main"], ["add", "."], ["commit", "-q", "-m", "one"]):
        subprocess.run(["git", *who, *command], cwd=root, check=True)
    (root / "run.sh").unlink()
    return root


@pytest.mark.needs("git")
def test_code_of_a_branch_is_that_of_its_commit(crunch: Crunch, tmp_path: Path, repository: Path) -> None:
    file = job(tmp_path, "repository: repository\ncommit: main\nscript: run.sh\nis_pure: true\n")
    assert crunch.run("submit", str(file)).code == 0
    commit = (repository / ".git" / "refs" / "heads" / "main").read_text().strip()
    spec = crunch.run("submit", "--dry-run", "--json", str(file)).json["spec"]["task"]
    assert spec["commit"] == commit
    moved = job(tmp_path, f"repository: {repository}\ncommit: {commit}\nscript: run.sh\nis_pure: true\n")
    assert crunch.run("submit", "--json", str(moved)).json["counts"]["copied"] == 1


@pytest.mark.needs("git")
def test_an_unknown_commit(crunch: Crunch, tmp_path: Path, repository: Path) -> None:
    refused = crunch.run("submit", str(job(tmp_path, f"repository: {repository}\ncommit: v9\nscript: run.sh\n")))
    assert refused.code == 3
    assert "commit: 'v9' is no branch, tag or commit" in one_line(refused)


def test_an_unknown_image(crunch: Crunch, tmp_path: Path) -> None:
    refused = crunch.run("submit", str(job(tmp_path, "command: x\nimage: no/such:image\n")))
    assert refused.code == 3
    assert "image: " in one_line(refused)


def test_an_input_that_finds_no_room(crunch: Crunch, tmp_path: Path) -> None:
    (tmp_path / "large").write_bytes(os.urandom(3 * 2**20))
    file = job(tmp_path, "command: x\ninputs: {large: large}\n")
    limit = 2**20  # bytes of any file that it may write: to the store it is a disk without room
    refused = done(crunch.start("submit", str(file), preexec_fn=lambda: setrlimit(RLIMIT_FSIZE, (limit, limit))))
    assert refused.code == 1
    assert "is full" in one_line(refused)
    assert crunch.run("submit", str(file)).code == 1  # there is no program x; the input is there


def test_an_unknown_user(crunch: Crunch, tmp_path: Path) -> None:
    refused = crunch.run("submit", "--as", "nobody-knows", str(job(tmp_path, "command: x\n")))
    assert refused.code == 3
    assert "'nobody-knows'" in one_line(refused)
    assert "user add" in one_line(refused)


# --- Jobs that go wrong -----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("description", "told"),
    [
        ("command: sleep 3600.5\ntimeout: 1s\n", "still running after 1 s"),
        ("command: echo broken >&2; exit 3\n", "exit code 3; it said last: broken"),
        ("command: 'true'\noutputs: [a.txt]\n", "output a.txt is missing"),
        ("command: ln -s /etc/passwd $TASK_OUTPUT/x\n", "output x is refused: it is a symbolic link"),
        ("command: [no-such-program]\n", "no-such-program"),
        ("command: [python3, -c, 'x = bytearray(10**9)']\nresources: {memory: 64MiB}\n", "out of memory"),
        ("command: head -c 99000000 /dev/zero > $TASK_OUTPUT/x\nresources: {scratch: 10MiB}\n", "resources.scratch"),
    ],
)
def test_a_task_that_goes_wrong_fails_its_job_with_one_line(
    crunch: Crunch, tmp_path: Path, description: str, told: str
) -> None:
    failed = crunch.run("submit", str(job(tmp_path, description)))
    assert failed.code == 1
    assert told in failed.err.splitlines()[-1]
    assert not said("sleep 3600.5")


def test_a_pure_task_that_queues_itself(crunch: Crunch, tmp_path: Path) -> None:
    (tmp_path / "again.sh").write_text('#!/bin/sh\necho \'{"name": "again", "is_pure": true}\' | crunch-task queue\n')
    failed = crunch.run("submit", str(job(tmp_path, "script: again.sh\nis_pure: true\n")))
    assert failed.code == 1
    assert "the same work is among the tasks that led to it" in failed.err.splitlines()[-1]


def test_a_task_that_says_a_lot(crunch: Crunch, tmp_path: Path) -> None:
    root = crunch.submit(job(tmp_path, "command: yes | head -c 1000000000; echo end\n"))
    assert crunch.until_state(root, "complete", "failed").state == "complete"
    [task] = crunch.tasks(root)
    assert len(crunch.run("log", task.task).out) < 20 * 2**20


def test_a_task_that_forks_without_end(crunch: Crunch, tmp_path: Path) -> None:
    bomb = "f() { f 77177 | f 77177 & }; f 77177; sleep 2; exit 5"
    failed = crunch.run("submit", str(job(tmp_path, {"command": bomb, "timeout": "30s"}, "bomb.json")))
    assert failed.code == 1
    assert not said("77177")
    assert crunch.run("jobs").code == 0


# --- No answer --------------------------------------------------------------------------------------------------------


@pytest.fixture
def frozen(crunch: Crunch, up: Up) -> Iterator[Client]:
    """`up` is there and does nothing; a client of it."""
    with Client(crunch.session()) as client:
        up.process.send_signal(signal.SIGSTOP)
        try:
            yield client
        finally:
            up.process.send_signal(signal.SIGCONT)


def named_in(line: str) -> str:
    found = re.search(r"the job may have been submitted: look with crunch-reuse job (\S+) before", line)
    assert found, line
    return found[1]


def test_a_submission_interrupted_before_its_answer_names_the_job(
    crunch: Crunch, up: Up, frozen: Client, tmp_path: Path
) -> None:
    file = job(tmp_path, {"command": ["true"]})
    ends = {place: frozen.log.end(place) for place in (Place(Topic.TASKS, number) for number in range(4))}
    process = crunch.start("submit", str(file))
    assert frozen.log.wait(ends, 60)
    process.send_signal(signal.SIGINT)
    ended = done(process)
    assert ended.code == 130
    up.process.send_signal(signal.SIGCONT)
    crunch.until_state(named_in(ended.err), "complete")


def test_a_submission_without_an_answer_names_the_job(
    crunch: Crunch, up: Up, frozen: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.client.PATIENCE", 0.1)
    with pytest.raises(Problem) as raised:
        submit.run(crunch.session(), job(tmp_path, {"command": ["true"]}), as_user=None, dry_run=False, wait=True)
    assert "no answer" in str(raised.value)
    up.process.send_signal(signal.SIGCONT)
    crunch.until_state(named_in(str(raised.value)), "complete")
