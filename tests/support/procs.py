"""Our processes beside a real broker and Postgres, started by the README's own commands."""

import os
import queue
import shlex
import signal
import subprocess
import sys
import threading
import urllib.request
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Any

import orjson

from tests.conftest import CHECKOUT

PATIENCE = 90.0
LONG = ("coordinator", "projector", "executor")  # commands that run until they are stopped


def commands(section: str, page: str = "README.md") -> list[list[str]]:
    """The words after `./run` of each line in the first shell block of a section of a page."""
    return [words[1:] for words in shell_lines(section, page) if words[0] == "./run"]


def shell_lines(section: str, page: str) -> list[list[str]]:
    """The words of each line in the first shell block of a section of a page."""
    text = (CHECKOUT / page).read_text("utf-8").split(f"# {section}\n")[1].split("```sh\n")[1].split("```")[0]
    return [words for line in text.splitlines() if (words := shlex.split(line, comments=True))]


@dataclass
class Process:
    """One of our processes: what it says, and how it can end."""

    words: list[str]
    running: "subprocess.Popen[bytes]"
    hearing: threading.Thread = field(default_factory=threading.Thread)
    said: "queue.SimpleQueue[dict[str, Any]]" = field(default_factory=queue.SimpleQueue)
    metrics: str = ""  # where it shows them

    def until(self, action: str) -> dict[str, Any]:
        """The next action of this name in its journal."""
        while True:
            line = self.said.get(timeout=PATIENCE)
            assert line, f"{self.words} has ended"
            self.metrics = line.get("metrics", self.metrics)
            if line["action"] == action:
                return line

    def shown(self, path: str) -> str:
        """What it answers to who watches over it."""
        with urllib.request.urlopen(f"http://{self.metrics}{path}", timeout=PATIENCE) as answer:
            return str(answer.read().decode())

    def end(self, number: int) -> int:
        """Send a signal, and wait for the end: its exit code."""
        self.running.send_signal(number)
        return self.running.wait(PATIENCE)


class Cluster:
    """The README's processes; `environment`: where they meet. Each is told apart by its words."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        clean = {name: value for name, value in os.environ.items() if not name.startswith(("CRUNCH_REUSE_", "XDG_"))}
        (folder / "home").mkdir()
        self._environment = clean | environment | {"HOME": str(folder / "home"), "PYTHONPATH": str(CHECKOUT)}
        self._errors = (folder / "errors").open("wb")
        self.processes: dict[str, Process] = {}

    def start(self, words: list[str]) -> None:
        """Start a long-running command."""
        process = Process(words, self._popen([*words, "--json"], subprocess.PIPE, self._errors))
        process.hearing = threading.Thread(target=_hear, args=(process,), daemon=True)
        process.hearing.start()
        self.processes[" ".join(words)] = process

    def until_ready(self, words: list[str]) -> None:
        """Wait until the process that runs this command says so."""
        self.processes[" ".join(words)].until("ready")

    def kill(self, words: list[str]) -> None:
        """End the process that runs this command, as a crash would."""
        process = self.processes.pop(" ".join(words))
        process.end(signal.SIGKILL)
        process.hearing.join()

    def begin(self, *words: str) -> "subprocess.Popen[bytes]":
        """Start another command, with its output in pipes."""
        return self._popen(list(words), subprocess.PIPE, subprocess.PIPE)

    def run(self, *words: str) -> bytes:
        """Run a command to its end, which must be a good one: what it prints."""
        return finished(self.begin(*words))

    def stop(self) -> dict[str, int]:
        """Tell all to stop: their exit codes."""
        for process in self.processes.values():
            process.running.terminate()
        return {name: process.running.wait(PATIENCE) for name, process in self.processes.items()}

    def close(self) -> None:
        """Kill what is left, and show what was said."""
        for process in self.processes.values():
            process.running.kill()
            process.running.wait()
            process.hearing.join()
        self._errors.close()
        print((self.folder / "errors").read_text())

    def _popen(self, words: list[str], out: int, err: "int | IO[bytes]") -> "subprocess.Popen[bytes]":
        command = [sys.executable, "-P", "-m", "gateway.cli", "--data-dir", str(self.folder / "data"), *words]
        return subprocess.Popen(
            command, env=self._environment, stdin=subprocess.DEVNULL, stdout=out, stderr=err, start_new_session=True
        )


def finished(process: "subprocess.Popen[bytes]") -> bytes:
    """What a command printed, which ended well."""
    out, err = process.communicate(timeout=PATIENCE)
    assert process.returncode == 0, (process.args, out.decode(), err.decode())
    return out


def _hear(process: Process) -> None:
    assert process.running.stdout
    with process.running.stdout as out:
        for line in out:
            process.said.put(orjson.loads(line))
    process.said.put({})
