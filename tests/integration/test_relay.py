"""A task's way to the API: it leads to API and Keep, it says who asks, and it is all there is."""

import os
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

import consumers
from consumers.executor.redact import MASK, Redacted
from consumers.executor.way import Way
from consumers.runners.relay import Relay, Target
from coordinator import tasktoken
from coordinator.purity import hashes_of
from coordinator.signedtoken import KEY_BYTES
from schemas.reasons import Failure
from streams.broker import free_port
from tests.support.apiserver import ApiServer, api_server
from tests.support.attempts import Bench, ready

KEY = b"k" * KEY_BYTES
RELAY = Path(consumers.__file__).with_name("crunch_relay.py")
PYTHONS = [sys.executable, *filter(None, map(shutil.which, ("/usr/bin/python2.7", "/usr/bin/python3")))]
PYTHONS += sorted(map(str, Path.home().glob(".pyenv/versions/*/bin/python[23].[0-9]*[0-9]")))

FETCH = """
import os, sys, urllib.request
for base in ("http://" + os.environ["ARVADOS_API_HOST"] + "/", os.environ["ARVADOS_KEEP_SERVICES"]):
    request = urllib.request.Request(base + "x", headers={"Authorization": "OAuth2 " + os.environ["ARVADOS_API_TOKEN"]})
    sys.stdout.write(urllib.request.urlopen(request, timeout=30).read().decode())
"""


@pytest.fixture
def api() -> Iterator[ApiServer]:
    with api_server("api") as server:
        yield server


@pytest.fixture
def keep() -> Iterator[ApiServer]:
    with api_server("keep") as server:
        yield server


@pytest.fixture
def way(api: ApiServer, keep: ApiServer) -> Way:
    return Way(api=api.target, keep=keep.target, key=KEY)


def test_a_task_judged_by_its_record_reaches_api_and_keep_under_its_own_token(runner: Bench, way, api, keep):
    runner.site.way = way
    spec = runner.spec("python3", "-c", FETCH, verdict="record", is_pure=True)
    report = runner.attempt(spec).run()
    assert (report.exit_code, runner.log(report)) == (0, "api /x\nkeep /x\n")
    [(_, said)] = api.asked
    assert api.asked == keep.asked
    claims = tasktoken.read(said.removeprefix("OAuth2 "), report.finished_at // 1000, KEY)
    assert (claims.task, claims.execution, claims.was_pure) == ("zzzzz-8i9sb-000000000000001", report.token, True)
    assert claims.scope(hashes_of(spec, ready(spec, "").bound), is_pure=True).job == "zzzzz-8i9sb-000000000000000"


def test_every_other_task_has_no_way(isolated: Bench, way, api):
    isolated.site.way = way
    report = isolated.run("env | grep ARVADOS; ls /run/crunch; wc -l < /proc/net/tcp")
    assert isolated.log(report).split() == ["parameters.json", "socket", "1"]
    assert api.asked == []


def test_the_token_is_not_in_the_log(runner: Bench, way, api):
    runner.site.way = way
    in_two = "printf %.20s $ARVADOS_API_TOKEN; sleep 0.1; echo ${ARVADOS_API_TOKEN#????????????????????}"
    for script in (in_two, "echo $ARVADOS_API_TOKEN >&2"):
        assert runner.log(runner.run(script, verdict="record")) == "[token]\n"
    assert "kkkk" not in repr(way)


def test_a_relayed_command_ends_as_it_would_without(isolated: Bench, way):
    isolated.site.way = way
    ended = [isolated.run("exit 7", verdict=verdict) for verdict in ("record", "exit_code")]
    assert [(report.exit_code, report.failure) for report in ended] == [(7, Failure.EXIT)] * 2
    absent = isolated.run("no-such-program", "-x", verdict="record")
    assert (absent.exit_code, absent.failure) == (127, Failure.EXIT)
    seen = [
        isolated.log(isolated.run("grep -E '^(SigIgn|SigBlk)' /proc/self/status; ls /proc/self/fd", verdict=verdict))
        for verdict in ("record", "exit_code")
    ]
    assert seen[0] == seen[1]


def test_a_cancelled_task_can_still_speak_to_the_api(isolated: Bench, way, api):
    """The relay outlives the signals that the task is given to end in peace."""
    isolated.site.way = way
    isolated.site.grace_seconds = 20
    script = f"""
import signal, subprocess, sys
def last_words(*_):
    exec({FETCH!r})
    sys.exit(9)
signal.signal(signal.SIGINT, last_words)
subprocess.run(["crunch-task", "report", "--progress", "0.5"])  # os.system would hold the signal back
signal.pause()
"""
    attempt = isolated.attempt(isolated.spec("python3", "-c", script, verdict="record"))
    running = threading.Event()
    answer = isolated.asked.append_and_wait
    isolated.asked.append_and_wait = lambda *asked: running.set() or answer(*asked)
    reports = []
    thread = threading.Thread(target=lambda: reports.append(attempt.run()))
    thread.start()
    assert running.wait(60)
    attempt.stop(grace=True)
    thread.join()
    assert (reports[0].exit_code, len(api.asked)) == (9, 1)


def test_an_api_that_is_gone_is_an_error_to_the_task(isolated: Bench, way, api):
    with socket.create_server(("127.0.0.1", 0)) as closed:
        nobody = Target("127.0.0.1", closed.getsockname()[1])
    isolated.site.way = Way(api=nobody, keep=nobody, key=KEY)
    report = isolated.run("python3", "-c", FETCH, verdict="record", timeout=20_000)
    assert report.exit_code == 1
    assert "without response" in isolated.log(report)


# --- The two ends alone ----------------------------------------------------------------------------------------------

ECHO = """
import socket, sys, threading
def one(number):
    with socket.create_connection(("127.0.0.1", int(sys.argv[1])), 30) as to_api:
        data = bytes([number]) * 3_000_000
        head = b"PUT / HTTP/1.0\\r\\nContent-Length: %d\\r\\n\\r\\n" % len(data)
        sender = threading.Thread(target=to_api.sendall, args=(head + data,))
        sender.start()
        got = b"".join(iter(lambda: to_api.recv(65536), b""))
        sender.join()
        assert got.endswith(b"\\r\\n\\r\\n" + data), len(got)
threads = [threading.Thread(target=one, args=(number,)) for number in range(40)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print("all")
""".replace("\\\\", "\\")


@pytest.mark.parametrize("python", PYTHONS)
def test_many_large_exchanges_at_once_under_any_python(tmp_path, api, python):
    port = str(free_port())
    with Relay({tmp_path / "api": api.target}):
        inner = [python, str(RELAY), f"{port}={tmp_path}/api", "--", sys.executable, "-c", ECHO, port]
        with subprocess.Popen(inner, stdout=subprocess.PIPE, start_new_session=True, text=True) as process:
            try:
                assert process.stdout
                assert process.stdout.read() == "all\n"
            finally:
                os.killpg(process.pid, signal.SIGKILL)


def test_a_relay_that_ends_ends_its_connections(tmp_path, api):
    with Relay({tmp_path / "api": api.target}):
        connection = socket.socket(socket.AF_UNIX)
        connection.connect(str(tmp_path / "api"))
        connection.sendall(b"GET /")
    connection.settimeout(30)
    with connection, suppress(ConnectionResetError):  # as much an end as any
        assert connection.recv(1) == b""


def test_a_relay_takes_the_place_of_one_that_was_killed(tmp_path, api):
    """As where a container is adopted: it knows the socket by its path."""
    with socket.socket(socket.AF_UNIX) as left:
        left.bind(str(tmp_path / "api"))
    with Relay({tmp_path / "api": api.target}), socket.socket(socket.AF_UNIX) as connection:
        connection.connect(str(tmp_path / "api"))
        connection.sendall(b"GET /again HTTP/1.0\r\n\r\n")
        assert b"".join(iter(lambda: connection.recv(4096), b"")).endswith(b"api /again\n")


@pytest.mark.parametrize("size", range(1, 9))
def test_a_secret_is_kept_out_wherever_the_pieces_are_cut(size):
    said = b"secrets: secret, secresecret, sec\nsecretsecret. secre"
    heard: list[bytes] = []
    redacted = Redacted(heard.append, b"secret")
    for start in range(0, len(said), size):
        redacted(said[start : start + size])
    redacted.close()
    assert b"".join(heard) == said.replace(b"secret", MASK)
