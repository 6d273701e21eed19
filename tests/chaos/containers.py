"""What a Docker engine itself says was started: one thread listens to its events, whatever becomes of the engine.

An engine that is killed forgets its events, so who hears the next one asks it first what containers there are.
"""

import threading
import time
from contextlib import ExitStack, closing, suppress
from datetime import datetime
from pathlib import Path
from typing import Any

import docker
import requests
from docker.errors import DockerException

from consumers.runners.container import MARK_LABEL
from tests.support.dockerd import answers
from tests.support.provision import python_image

NANOSECONDS = 10**9
NEVER = "0001-"


class Containers:
    """Writes mark, container and time of each start into `starts`, one to a line. `image`: what tasks may run in."""

    def __init__(self, address: str, starts: Path) -> None:
        self._address = address
        self._starts = starts
        self._since = time.time_ns()
        self._heard: set[tuple[str, int]] = set()
        self._written: set[str] = set()
        self._looked: set[str] = set()  # written without their event, which may still come
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
            self._look(client)
            filters = {"type": "container", "event": "start", "label": MARK_LABEL}
            self._stream = client.events(since=self._since // NANOSECONDS, filters=filters, decode=True)
            for event in self._stream:
                self._hear_of(event["Actor"], event["timeNano"])

    def _look(self, client: Any) -> None:
        for found in client.containers(all=True, filters={"label": MARK_LABEL}):
            started = client.inspect_container(found["Id"])["State"]["StartedAt"]
            if found["Id"] not in self._written and not started.startswith(NEVER):
                self._looked.add(found["Id"])
                self._write(found["Labels"][MARK_LABEL], found["Id"], datetime.fromisoformat(started).timestamp())

    def _hear_of(self, actor: dict[str, Any], at: int) -> None:
        """One event; it may come again, and before one that is older."""
        if at < self._since or (actor["ID"], at) in self._heard:
            return
        self._heard.add((actor["ID"], at))
        if actor["ID"] in self._looked:
            self._looked.remove(actor["ID"])
        else:
            self._write(actor["Attributes"][MARK_LABEL], actor["ID"], at / NANOSECONDS)

    def _write(self, mark: str, container: str, at: float) -> None:
        self._written.add(container)
        with self._starts.open("a") as file:
            file.write(f"{mark} {container[:12]} {at:.6f}\n")
