"""What a Docker engine itself says happened: independent of those who asked for it."""

import time
from typing import Any

import docker

from consumers.runners.container import MARK_LABEL


class Engine:
    """Counts the containers that were started since the context was entered."""

    def __init__(self, address: str) -> None:
        self._client = docker.DockerClient(base_url=address)

    def __enter__(self) -> "Engine":
        self._since = time.time_ns()
        return self

    def __exit__(self, *_: object) -> None:
        self._client.close()

    def started(self) -> int:
        """How many containers of ours."""
        return sum(event["timeNano"] >= self._since for event in self._events())

    def left(self) -> list[str]:
        """Containers of ours that are still there."""
        return [str(found.id) for found in self._client.containers.list(all=True, filters={"label": MARK_LABEL})]

    def _events(self) -> list[dict[str, Any]]:
        filters = {"type": "container", "event": "start", "label": MARK_LABEL}
        since = self._since // 10**9
        return list(self._client.api.events(since=since, until=int(time.time()) + 1, filters=filters, decode=True))
