"""A Docker engine of our own, below one folder: started and stopped, killed and frozen. Root on Linux alone can."""

import os
import selectors
import signal
import socket
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

START_SECONDS = 180
STOP_SECONDS = 120  # it gives its containers fifteen, and a busy machine makes more of them
# Also where an ordinary user's PATH does not look, and root's does not after a plain `su`.
PROGRAMS = f"{os.environ.get('PATH', os.defpath)}:/usr/local/sbin:/usr/sbin:/sbin"


@contextmanager
def local_engine() -> Iterator["LocalEngine"]:
    """An engine in a temporary folder, which ends with the context."""
    with tempfile.TemporaryDirectory(prefix="crunch-docker-") as folder:
        engine = LocalEngine(Path(folder))
        engine.start()
        try:
            yield engine
        finally:
            engine.stop()


def answers(address: str) -> bool:
    """Whether an engine answers at this address (`unix://…`)."""
    # Not by the docker package: it leaves its socket open when nobody answers.
    with socket.socket(socket.AF_UNIX) as connection:
        connection.settimeout(10)
        try:
            connection.connect(address.removeprefix("unix://"))
            connection.sendall(b"GET /_ping HTTP/1.0\r\n\r\n")
            return b" 200 " in connection.recv(64)
        except OSError:
            return False


class LocalEngine:
    """An engine that touches no firewall and has no bridge. It ends with us, also when we are killed.

    `folder`: with a short path, as sockets are in it. `address`: where it listens, also after a new start.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self.address = f"unix://{folder}/docker.sock"
        self._process: subprocess.Popen[bytes] | None = None
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Start it on what is below the folder. Raises RuntimeError with what it said."""
        assert self._process is None, "it runs already"
        log, made = self._folder / "log", threading.Event()
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ready:
            door = self._folder / "ready.sock"
            door.unlink(missing_ok=True)
            ready.bind(str(door))
            self._thread = threading.Thread(target=self._run, args=(log, made), name="dockerd", daemon=True)
            self._thread.start()
            made.wait()
            assert self._process is not None, "dockerd could not be run"
            _wait_until_ready(self._process, ready, log)

    def stop(self) -> None:
        """End it in order, with what it runs; nothing to do where it does not run."""
        self._end(signal.SIGTERM)
        self._unmount()

    def kill(self) -> None:
        """kill -9: what it runs goes on, until it is started again."""
        self._end(signal.SIGKILL)
        # containerd has ended with it; where nobody has taken note of that yet, the next start would wait for it.
        (self._folder / "exec" / "containerd" / "containerd.pid").unlink(missing_ok=True)

    def freeze(self) -> None:
        """Stop its clock: it holds its connections and answers nobody (SIGSTOP)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGSTOP)

    def thaw(self) -> None:
        """Let it go on (SIGCONT)."""
        assert self._process is not None
        self._process.send_signal(signal.SIGCONT)

    def _run(self, log: Path, made: threading.Event) -> None:
        # A thread of its own for as long as it runs: the signal comes when the *thread* that started it ends.
        command = ["setpriv", "--pdeathsig", "TERM", "dockerd", "--host", self.address]
        command += ["--data-root", f"{self._folder}/data", "--exec-root", f"{self._folder}/exec"]
        command += ["--pidfile", f"{self._folder}/pid", "--iptables=false", "--ip6tables=false", "--bridge=none"]
        environment = os.environ | {"PATH": PROGRAMS, "NOTIFY_SOCKET": f"{self._folder}/ready.sock"}
        try:
            with log.open("ab") as output:
                self._process = subprocess.Popen(
                    command, env=environment, stdin=subprocess.DEVNULL, stdout=output, stderr=output
                )
        finally:
            made.set()
        self._process.wait()

    def _end(self, number: int) -> None:
        if self._process is None or self._thread is None:
            return
        self._process.send_signal(number)
        self._thread.join(STOP_SECONDS)
        assert not self._thread.is_alive(), f"dockerd did not end within {STOP_SECONDS} s"
        self._process = self._thread = None

    def _unmount(self) -> None:
        """The engine leaves the host's network mounted there, once a container has used it."""
        mounted = [line.split()[1] for line in Path("/proc/mounts").read_text().splitlines()]
        for place in reversed(mounted):  # what stands in another one first
            if place.startswith(f"{self._folder}/"):
                subprocess.run(["umount", "--lazy", place], check=True)


def _wait_until_ready(process: subprocess.Popen[bytes], ready: socket.socket, log: Path) -> None:
    exited = os.pidfd_open(process.pid)
    try:
        with selectors.DefaultSelector() as selector:
            selector.register(ready, selectors.EVENT_READ)
            selector.register(exited, selectors.EVENT_READ)
            events = selector.select(START_SECONDS)
    finally:
        os.close(exited)
    if [key.fileobj for key, _ in events] != [ready]:
        raise RuntimeError(f"dockerd did not start:\n{log.read_text(errors='replace')[-4000:]}")
