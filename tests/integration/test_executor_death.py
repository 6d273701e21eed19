"""However an executor ends, nothing of its tasks is left running: each proved by a pipe that all its processes hold."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from consumers.executor.inputs import remove_tree
from consumers.executor.site import site_key, socket_folder
from consumers.runners.reap import marked

# It says when it runs, then waits until the test holds the other end. A part of it leaves its group and session.
TASK = """
mkfifo $TASK_OUTPUT/alive; chmod 666 $TASK_OUTPUT/alive
crunch-task report --progress 0.5
exec 3> $TASK_OUTPUT/alive
setsid sh -c 'sleep 1000 & sleep 1000' &
sleep 1000
"""
RUNNERS = ["process", pytest.param("bubblewrap", marks=pytest.mark.needs("bubblewrap")), "docker"]


class Lonely:
    """An executor in another process, whose one task runs and holds `alive`."""

    def __init__(self, process: "subprocess.Popen[str]", folder: Path) -> None:
        self.process = process
        self.folder = folder
        assert self.wait_for("Reported").count("Joined") == 1, "it lapsed before it was frozen"
        [attempt] = (folder / "executor" / "attempts").iterdir()
        self.alive = os.open(attempt / "out" / "alive", os.O_RDONLY)

    def wait_for(self, line: str) -> list[str]:
        """What it appended until then."""
        assert self.process.stdout
        said = []
        for told in self.process.stdout:
            said.append(told.strip())
            if said[-1] == line or said.count("Joined") > 1:
                return said
        raise AssertionError(f"it ended without {line}: {said}")

    def wait_until_nothing_runs(self) -> None:
        """The pipe ends when its last holder has."""
        assert os.read(self.alive, 1) == b""

    def left(self) -> list[int]:
        """Processes that still carry the node's mark."""
        return list(marked(site_key("local", self.folder / "executor")))


@pytest.fixture(params=RUNNERS)
def lonely(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Lonely]:
    engine = image = ""
    if request.param == "docker":
        engine, image = request.getfixturevalue("docker_engine"), request.getfixturevalue("python_image")
    with started(tmp_path, request.param, engine, image) as made:
        yield made


@contextmanager
def started(folder: Path, runner: str, engine: str = "", image: str = "", lease: int = 15_000) -> Iterator[Lonely]:
    command = [
        sys.executable,
        "-m",
        "tests.support.lonely_executor",
        str(folder),
        runner,
        engine,
        image,
        str(lease),
        TASK,
    ]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        made = Lonely(process, folder)
        try:
            yield made
        finally:
            os.close(made.alive)
            process.kill()
            process.wait()
            remove_tree(socket_folder(site_key("local", folder / "executor")))


def test_killed(lonely):
    lonely.process.kill()
    lonely.wait_until_nothing_runs()
    assert lonely.left() == []


def test_frozen_beyond_its_lease(tmp_path):
    with started(tmp_path, "process", lease=6_000) as lonely:
        lonely.process.send_signal(signal.SIGSTOP)
        lonely.wait_until_nothing_runs()
        lonely.process.send_signal(signal.SIGCONT)
        assert not {"Exited", "Freed"} & set(lonely.wait_for("Joined")), "it spoke of work that was no longer its own"


@pytest.mark.needs("bubblewrap")
def test_a_sandbox_of_a_frozen_executor(tmp_path):
    with started(tmp_path, "bubblewrap", lease=6_000) as lonely:
        lonely.process.send_signal(signal.SIGSTOP)
        lonely.wait_until_nothing_runs()
        lonely.process.send_signal(signal.SIGCONT)
        assert "Exited" not in lonely.wait_for("Joined")


def test_a_container_of_a_frozen_executor(tmp_path, docker_engine, python_image):
    with started(tmp_path, "docker", docker_engine, python_image, lease=6_000) as lonely:
        lonely.process.send_signal(signal.SIGSTOP)
        lonely.wait_until_nothing_runs()
        lonely.process.send_signal(signal.SIGCONT)
        assert "Exited" not in lonely.wait_for("Joined")
