"""The socket that a running task speaks to: whatever it asks is answered, and a repeat is the same child."""

import errno
import json
import shutil
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

import consumers
from consumers.executor import tasksocket
from consumers.executor.requests import TaskRequests
from consumers.executor.tasksocket import MAX_CONNECTIONS, MAX_LINE_BYTES, TaskSocket
from schemas.claims import ChildQueued, Reported
from schemas.codec import decode, encode
from schemas.topics import Topic
from store.blocks import BlockStore
from store.collections import CollectionStore
from tests.support.attempts import Asked, Bench, ready

HELPER = Path(consumers.__file__).with_name("crunch_task.py")
PYTHONS = [sys.executable, *sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python[23].[0-9]*[0-9]")))]
PYTHONS += filter(None, map(shutil.which, ("/usr/bin/python2.7", "/usr/bin/python3")))


class Served:
    """A task's socket, and what was asked through it."""

    def __init__(self, folder: Path) -> None:
        self.asked = Asked()
        self.store = CollectionStore(BlockStore.create(folder / "store"))
        (folder / "in").mkdir()
        (folder / "in" / "one.txt").write_text("1")
        (folder / "in" / "two.txt").write_text("2")
        self.input = self.store.save_directory(folder / "in").portable_data_hash
        self.spec = Bench.spec(
            None, "split", image="", inputs={"all": self.input}, commit="c" * 40, code="d" * 32 + "+5", sequence=3
        )
        self.path = folder / "socket"
        requests = TaskRequests(ready(self.spec, "token-1"), self.spec, self.store, self.asked)
        self.socket = TaskSocket(self.path, requests)

    def connect(self) -> socket.socket:
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(self.path))
        connection.settimeout(60)
        return connection

    def send(self, line: bytes | Any) -> dict[str, Any]:
        """One request on a connection of its own, and the reply."""
        with closing(self.connect()) as connection, connection.makefile("rwb") as file:
            file.write(line if isinstance(line, bytes) else json.dumps(line).encode() + b"\n")
            file.flush()
            return json.loads(file.readline())


@pytest.fixture
def served(tmp_path: Path) -> Iterator[Served]:
    made = Served(tmp_path)
    with made.socket:
        yield made


def queue(task: Any, request_id: str = "r1") -> dict[str, Any]:
    return {"op": "queue", "request_id": request_id, "task": task}


def test_a_child_has_what_its_task_has_unless_it_says_otherwise(served):
    reply = served.send(queue({"parameters": {"n": 1}, "is_pure": True, "resources": {"cores": 2}}))
    [command] = served.asked.commands
    assert reply == {"ok": True, "child": command.child}
    spec = command.spec
    assert (command.token, command.fingerprint) == ("token-1", "print-token-1")
    assert (spec.command, spec.commit, spec.code) == (served.spec.command, served.spec.commit, served.spec.code)
    assert (spec.sequence, spec.is_pure, spec.resources.cores, spec.inputs) == (4, True, 2, {})
    assert decode(Topic.CLAIMS, encode(command)).body == command


def test_the_same_request_is_the_same_child_and_another_is_another(served):
    one, again = served.send(queue({"name": "a"})), served.send(queue({"name": "a"}))
    other, other_id = served.send(queue({"name": "b"})), served.send(queue({"name": "a"}, "r2"))
    assert one["child"] == again["child"]
    assert len({one["child"], other["child"], other_id["child"]}) == 3


@pytest.mark.parametrize("reference", ["all/one.txt", "{pdh}/one.txt"])
def test_an_input_of_a_child_is_a_part_of_its_tasks(served, reference):
    served.send(queue({"inputs": {"part": reference.format(pdh=served.input)}}))
    pdh = served.asked.commands[0].spec.inputs["part"]
    assert [file.path for file in served.store.files(pdh)] == ["one.txt"]
    assert pdh == served.store.subset(served.input, "one.txt")


def test_a_path_among_the_parameters_depends_on_that_file_alone(served):
    served.send(queue({"parameters": {"file": f"{served.input}/two.txt"}}))
    value = json.loads(bytes(served.asked.commands[0].spec.parameters))["file"]
    assert value == served.store.pruned(served.input, "two.txt") + "/two.txt"


def test_progress_verdict_and_output_are_reported(served):
    assert served.send({"op": "report", "progress": 0.5, "success": True, "output": served.input}) == {"ok": True}
    assert served.asked.commands == [
        Reported(fingerprint="print-token-1", token="token-1", progress=500, success=True, output=served.input)
    ]


@pytest.mark.parametrize("path", ["", "/secret.txt", "/nothing"])
def test_what_others_stored_is_no_output_and_whether_it_is_there_is_not_told(served, tmp_path, path):
    (tmp_path / "others").mkdir()
    (tmp_path / "others" / "secret.txt").write_text("secret")
    others, nobodys = served.store.save_directory(tmp_path / "others").portable_data_hash, "0" * 32 + "+50"
    reply = served.send({"op": "report", "output": others + path})
    assert not reply["ok"]
    assert reply["reason"].replace(others, nobodys) == served.send({"op": "report", "output": nobodys + path})["reason"]
    assert served.asked.commands == []


@pytest.mark.parametrize("reference", ["all/one.txt", "{pdh}/one.txt"])
def test_a_part_of_an_input_may_be_the_output(served, reference):
    assert served.send({"op": "report", "output": reference.format(pdh=served.input)}) == {"ok": True}
    assert served.asked.commands[0].output == served.store.subset(served.input, "one.txt")


@pytest.mark.parametrize(
    ("request_line", "reason"),
    [
        (b"\n", "not JSON at line"),
        (b"{\n", "not JSON"),
        (b"[]\n", "a request is a JSON object"),
        (b"\xff\xfe\n", "not UTF-8 text"),
        (b'{"op": "queue", "op": "queue"}\n', 'the key "op" stands twice'),
        (b"[" * 1500 + b"]" * 1500 + b"\n", "nested more than"),
        (b'{"op": "report", "progress": NaN}\n', "NaN is not JSON"),
        ({"op": "stop"}, "op: must be queue or report"),
        ({"op": "queue"}, "request_id: a text of at most 256 characters"),
        ({"op": "queue", "request_id": "r"}, "task: an object with the keys of a job file's task"),
        ({**queue({}), "more": 1}, "more: no such key; known are op, request_id, task"),
        (queue({"comand": ["x"]}), "comand: no such key: did you mean command?"),
        (queue({"parameters": {"a": 2**60}}), "parameters.a: 1152921504606846976 is an integer beyond 2^53"),
        (queue({"inputs": {"x": "nothing"}}), "inputs.x: 'nothing' is none of this task's inputs, which are: all"),
        (queue({"inputs": {"x": "all/three.txt"}}), "three.txt is not in the collection"),
        (queue({"inputs": {"x": "all/../../etc"}}), "../../etc is not in the collection"),
        (queue({"inputs": {"../x": "all"}}), "the name '../x' can't be a folder's"),
        (queue({"outputs": ["../x"]}), "outputs[0]: '../x' leads out of its folder"),
        (queue({"commit": "main"}), "commit: a task's child has its task's code: leave this out"),
        (queue({"image": "debian"}), "image: a task's child has its task's image: leave this out"),
        ({"op": "report"}, "nothing to report"),
        ({"op": "report", "progress": 2}, "progress: must be a number from 0 to 1"),
        ({"op": "report", "success": "yes"}, "success: must be true or false"),
        ({"op": "report", "output": "no hash"}, "output: 'no hash' is none of this task's inputs, which are: all"),
        ({"op": "report", "output": 3}, "output: must be one of this task's inputs, or a path in one"),
        ({"op": "report", "output": "0" * 32 + "+3"}, "output: '" + "0" * 32 + "+3' is none of this task's inputs"),
    ],
)
def test_what_cannot_be_done_is_refused_in_words(served, request_line, reason):
    reply = served.send(request_line)
    assert not reply["ok"]
    assert reason in reply["reason"]
    assert served.asked.commands == []


def test_a_line_without_end_is_not_read_to_its_end(served):
    reply = served.send(b"x" * (MAX_LINE_BYTES + 1))
    assert reply == {"ok": False, "reason": f"a request is one line of at most {MAX_LINE_BYTES} bytes"}


def test_more_connections_than_there_is_room_for_wait(served):
    held = [served.connect() for _ in range(MAX_CONNECTIONS)]
    one_more = served.connect()
    one_more.sendall(json.dumps(queue({})).encode() + b"\n")
    one_more.setblocking(False)
    with pytest.raises(BlockingIOError):
        one_more.recv(1)
    held[0].close()
    one_more.settimeout(60)
    assert json.loads(one_more.recv(4096))["ok"]
    for connection in (*held, one_more):
        connection.close()


def test_requests_are_counted(served, monkeypatch):
    monkeypatch.setattr(served.socket, "_left", 1)
    assert served.send(queue({}))["ok"]
    assert served.send(queue({}, "r2"))["reason"] == f"a task may send {tasksocket.MAX_REQUESTS} requests, no more"


def test_after_the_attempt_nobody_answers(tmp_path):
    served = Served(tmp_path)
    with served.socket:
        connection = served.connect()
        connection.sendall(json.dumps(queue({})).encode() + b"\n")
        assert connection.recv(4096)
    assert connection.recv(1) == b""
    connection.close()


class Unshakable(socket.socket):
    """A listener as other systems than Linux have it: shutting it down does not end the wait for a connection."""

    def shutdown(self, how: int) -> None:
        raise OSError(errno.ENOTCONN, "not connected")


def test_its_end_does_not_depend_on_a_listeners_shutdown(tmp_path):
    served = Served(tmp_path)
    served.socket._server._listener.close()
    served.socket._server._listener = Unshakable(socket.AF_UNIX)
    served.socket.__enter__()
    ending = threading.Thread(target=served.socket.__exit__, daemon=True)
    ending.start()
    ending.join(30)
    assert not ending.is_alive()


@pytest.mark.parametrize("python", PYTHONS, ids=lambda path: Path(path).name)
def test_the_helper_runs_on_any_python(served, python):
    def run(*arguments: str, text: str = "") -> "subprocess.CompletedProcess[str]":
        environment = {"CRUNCH_TASK_SOCKET": str(served.path), "PATH": "/usr/bin:/bin", "HOME": "/root"}
        return subprocess.run(
            [python, str(HELPER), *arguments], input=text, text=True, capture_output=True, env=environment
        )

    queued = run("queue", text='{"name": "one"}\n{"name": "t\u00fc"}\n')
    assert (queued.returncode, queued.stderr) == (0, "")
    assert queued.stdout.split() == [command.child for command in served.asked.commands]
    assert [command.spec.name for command in served.asked.commands] == ["one", "t\u00fc"]
    assert run("queue", text='[{"name": "three"}]').returncode == 0
    assert run("report", "--progress", "0.5", "--success", "false").returncode == 0
    assert isinstance(served.asked.commands[-2], ChildQueued)
    assert served.asked.commands[-1].success is False
    refused = run("queue", text='{"nope": 1}')
    assert (refused.returncode, refused.stdout) == (1, "")
    assert refused.stderr.startswith("crunch-task: nope: no such key")
    assert run("report").returncode == 1
    assert "usage" in run("report", "--progress").stderr
    assert run("--help").stdout.startswith("crunch-task:")
