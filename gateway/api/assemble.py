"""The whole API put together: what `up` and `crunch-reuse api` run."""

import socket
from collections.abc import Sequence

from coordinator.ids import DEFAULT_PREFIX
from gateway.api import collections, explain, jobs, keep, logs, people, tasks, words
from gateway.api.app import application
from gateway.api.dispatch import Dispatcher
from gateway.api.metrics import RequestMetrics
from gateway.api.narrow import narrowed
from gateway.api.schema import KEEP_SERVICES, RESOURCES
from gateway.api.server import Server, address_of
from gateway.api.service import Service, TaskRules
from gateway.api.tls import certificate
from gateway.content import blocks_of
from gateway.folders import Folders
from gateway.pages.fleet import heard_at
from gateway.pages.scout import Scout
from gateway.pages.web import Pages, probes
from gateway.resolve import ImageResolver
from store.collections import CollectionStore
from streams.log import Log

_METHODS = (people, collections, jobs, tasks, keep, logs, explain)
HANDLERS = {name: handler for methods in _METHODS for name, handler in methods.HANDLERS.items()}
HANDLERS |= {name: narrowed(KEEP_SERVICES, handler) for name, handler in keep.HANDLERS.items()}


class Api:
    """`run` serves at `listening` until `stop`; then `close`. `images`: resolves names of images.
    `tasks`: how running tasks are known. `metrics`: what requests are counted by. `views`: URLs of the live views'
    workers. Raises LogError; Refused where the store is no folder."""

    def __init__(
        self,
        log: Log,
        dsn: str,
        folders: Folders,
        listening: socket.socket,
        images: ImageResolver,
        tasks: TaskRules,
        metrics: RequestMetrics | None = None,
        views: Sequence[str] = (),
    ) -> None:
        self.address = address_of(listening)
        made, key = certificate(folders.api, str(listening.getsockname()[0]))
        blocks = blocks_of(folders)
        self.service = Service(log, dsn, CollectionStore(blocks), folders.cache, images, tasks, self._heard)
        self._scout = Scout(log, probes(folders.checkpoints, views))
        dispatcher = Dispatcher(self.service, RESOURCES, HANDLERS)
        self.pages = Pages(self.service, self._scout)
        spoken = words.TasksWords(self.service, blocks.words)
        routes = [*self.pages.routes(), *spoken.routes(), *keep.Keep(dispatcher, blocks).routes()]
        app = application(dispatcher, self.address, DEFAULT_PREFIX, *routes)
        self._server = Server(metrics.around(app) if metrics else app, listening, made, key)
        self.run = self._server.run

    def stop(self) -> None:
        """Let `run` return, and live pages end."""
        self.pages.end()
        self._server.stop()

    def close(self) -> None:
        """Let go of connections and threads."""
        self._scout.close()
        self.service.close()

    def _heard(self, node: str) -> int | None:
        return heard_at(self._scout.latest("nodes").value, node)
