"""One process of the town: started, looked after as a service manager would, and what became of it each time."""

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from tests.conftest import CHECKOUT

# Seconds before one that ended is started again; more if it ends again and again: on a busy machine what they all need
# to start would leave nothing to the broker that they wait for.
PAUSE, LONGEST_PAUSE = 1.0, 30.0
LIVED = 20.0  # seconds after which it counts as having lived


class End(NamedTuple):
    """How a process ended: when (seconds since 1970), its exit code, and the last line it said if it said one."""

    at: float
    code: int
    line: str


class Resident:
    """`crunch-reuse ARGUMENTS`, again and again until it is told to leave.

    `kind`: what it is, for nemeses. `said`: what it prints. `launcher`: the module that runs the command line, with
    its arguments. `ends`: how it ended so far. `before_next`: what is to be done once, before it is started again.
    """

    def __init__(
        self,
        name: str,
        kind: str,
        arguments: list[str],
        folder: Path,
        environment: Mapping[str, str],
        said: Path,
        launcher: Sequence[str],
    ) -> None:
        self.name = name
        self.kind = kind
        self.folder = folder
        self.said = said
        self.ends: list[End] = []
        self.starts = 0
        self.before_next: Callable[[], object] | None = None
        self.lock = threading.Lock()  # one nemesis at a time
        # Nicer than the broker: those who wait for it must not starve it.
        self._command = [
            "nice",
            "-n",
            "4",
            sys.executable,
            "-P",
            "-m",
            *launcher,
            "--data-dir",
            str(folder),
            *arguments,
        ]
        self._environment = dict(environment)
        self._leaving = threading.Event()
        self._process: subprocess.Popen[bytes] | None = None
        self._thread = threading.Thread(target=self._look_after, name=name, daemon=True)

    def start(self) -> None:
        """Start it, and start it again whenever it ends."""
        self._thread.start()

    def kill(self) -> bool:
        """SIGKILL; whether it ran."""
        return self.signal(signal.SIGKILL)

    def freeze(self) -> bool:
        """SIGSTOP; whether it ran."""
        return self.signal(signal.SIGSTOP)

    def thaw(self) -> bool:
        """SIGCONT; whether it still ran."""
        return self.signal(signal.SIGCONT)

    def signal(self, number: int) -> bool:
        """Send a signal; whether there was a process."""
        process = self._process
        if process is None or process.poll() is not None:
            return False
        process.send_signal(number)
        return True

    def family(self) -> list[int]:
        """Its process, and all that came of it."""
        process = self._process
        return _with_children(process.pid) if process is not None and process.poll() is None else []

    def ask_to_leave(self) -> None:
        """It ends soon, for good."""
        self._leaving.set()
        self.signal(signal.SIGCONT)
        self.signal(signal.SIGTERM)

    def leave(self, patience: float = 40.0) -> None:
        """End it for good; kill it if it does not listen."""
        self.ask_to_leave()
        self._thread.join(patience)
        if self._thread.is_alive():
            self.kill()
            self._thread.join()

    def _look_after(self) -> None:
        self.folder.parent.mkdir(parents=True, exist_ok=True)
        pause = PAUSE / 2
        with self.said.open("ab") as output:
            while not self._leaving.is_set():
                if self.before_next is not None:
                    self.before_next()
                    self.before_next = None
                begin = output.tell()
                self.starts += 1
                self._process = subprocess.Popen(
                    self._command,
                    env=os.environ | {"PYTHONPATH": str(CHECKOUT)} | self._environment,
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=output,
                    start_new_session=True,
                )
                begun, code = time.monotonic(), self._process.wait()
                output.seek(0, os.SEEK_END)
                self.ends.append(End(time.time(), code, self._last_line(begin)))
                pause = PAUSE if time.monotonic() - begun > LIVED else min(2 * pause, LONGEST_PAUSE)
                self._leaving.wait(pause)

    def _last_line(self, begin: int) -> str:
        with self.said.open("rb") as file:
            file.seek(begin)
            lines = [line for line in file.read().decode(errors="replace").splitlines() if line.startswith("crunch-")]
        return lines[-1] if lines else ""


def _with_children(process: int) -> list[int]:
    found = [process]
    with suppress(OSError):  # it has ended
        for thread in Path(f"/proc/{process}/task").iterdir():
            for child in (thread / "children").read_text().split():
                found += _with_children(int(child))
    return found
