"""What a Docker engine itself says was started: one thread listens to its events, whatever becomes of the engine."""

import threading
import time
from contextlib import ExitStack, closing, suppress
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException

from consumers.runners.container import MARK_LABEL
from tests.support.dockerd import answers
from tests.support.provision import python_image

NANOSECONDS = 10**9


class Containers:
    """Writes mark, container and time of each start into `starts`, one to a line. `image`: what tasks may run in."""

    def __init__(self, address: str, starts: Path) -> None:
        self._address = address
        self._starts = starts
        self._since = time.time_ns()
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._listen, name="containers", daemon=True)
        self._images = ExitStack()
        self._stream: Any = None
        self.image = ""

    def __enter__(self) -> "Containers":
        self.image = self._images.enter_context(python_image(self._address))
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stopping.set()
        if self._stream is not None:
            self._stream.close()
        self._thread.join()
        self._images.close()

    def _listen(self) -> None:
        while not self._stopping.is_set():
            # It ends with the engine, and what came since is asked of the next one.
            with suppress(DockerException, requests.RequestException, OSError, ValueError):
                self._hear()
            self._stopping.wait(0.1)

    def _hear(self) -> None:
        if not answers(self._address):
            return
        with closing(docker.APIClient(base_url=self._address)) as client:
            filters = {"type": "container", "event": "start", "label": MARK_LABEL}
            self._stream = client.events(since=self._since // NANOSECONDS, filters=filters, decode=True)
            for event in self._stream:
                if event["timeNano"] > self._since:
                    self._since = event["timeNano"]
                    self._write(event["Actor"], event["timeNano"])

    def _write(self, actor: dict[str, Any], at: int) -> None:
        with self._starts.open("a") as file:
            file.write(f"{actor['Attributes'][MARK_LABEL]} {actor['ID'][:12]} {at / NANOSECONDS:.6f}\n")
