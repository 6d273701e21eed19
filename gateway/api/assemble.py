"""The whole API put together: what `up` and `crunch-reuse api` run."""

import socket
from pathlib import Path

from coordinator.ids import DEFAULT_PREFIX
from gateway.api import collections, keep, people
from gateway.api.app import application
from gateway.api.dispatch import Dispatcher
from gateway.api.schema import RESOURCES
from gateway.api.server import Server, address_of
from gateway.api.service import Service
from gateway.api.tls import certificate
from store.collections import CollectionStore
from streams.log import Log

HANDLERS = {**people.HANDLERS, **collections.HANDLERS, **keep.HANDLERS}


class Api:
    """`run` serves at `listening` until `stop`; then `close`. `folder`: where certificate and key are kept."""

    def __init__(self, log: Log, dsn: str, store: CollectionStore, folder: Path, listening: socket.socket) -> None:
        self.address = address_of(listening)
        made, key = certificate(folder, str(listening.getsockname()[0]))
        self.service = Service(log, dsn, store)
        dispatcher = Dispatcher(self.service, RESOURCES, HANDLERS)
        app = application(dispatcher, self.address, DEFAULT_PREFIX, *keep.Keep(dispatcher).routes())
        server = Server(app, listening, made, key)
        self.run, self.stop = server.run, server.stop

    def close(self) -> None:
        """Let go of connections and threads."""
        self.service.close()
