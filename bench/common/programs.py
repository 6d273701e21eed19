"""Programs of others, run beside the bench: each says when it is ready, and ends when its standard input does."""

import selectors
import subprocess
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from bench.common.processes import END_SECONDS, BenchFailed


@contextmanager
def program(
    name: str, command: Sequence[str], ready: str, seconds: float, environment: Mapping[str, str] | None = None
) -> Iterator[list[int]]:
    """Runs it from when it has printed the line `ready`, which may take so many seconds, until the context ends; its
    process id."""
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment) as running:
        try:
            if not _says(running, ready, seconds):
                raise BenchFailed(f"{name} did not say {ready!r} within {seconds:.0f} s")
            yield [running.pid]
        finally:
            _end(running)


def _says(running: "subprocess.Popen[bytes]", wanted: str, seconds: float) -> bool:
    assert running.stdout is not None
    deadline = time.monotonic() + seconds
    with selectors.DefaultSelector() as selector:
        selector.register(running.stdout, selectors.EVENT_READ)
        while selector.select(max(deadline - time.monotonic(), 0)):
            line = running.stdout.readline()
            if line.strip() == wanted.encode():
                return True
            if not line:
                return False
    return False


def _end(running: "subprocess.Popen[bytes]") -> None:
    assert running.stdin is not None
    running.stdin.close()
    try:
        running.wait(END_SECONDS)
    except subprocess.TimeoutExpired:
        running.kill()
