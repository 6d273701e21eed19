"""What the API's requests are counted by: method and status, never a path, which may name anything."""

import time

from prometheus_client import CollectorRegistry, Gauge, Histogram
from starlette.types import ASGIApp, Message, Receive, Scope, Send

METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"})
SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 60.0)


class RequestMetrics:
    """Of one server. How long a request took is told when its reply begins: live pages never end."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._took = Histogram(
            "crunch_reuse_http_request_duration_seconds",
            "Time until a reply begins",
            ["method", "status"],
            registry=registry,
            buckets=SECONDS,
        )
        self._present = Gauge(
            "crunch_reuse_http_requests_in_progress", "Requests, live pages among them", registry=registry
        )

    def around(self, app: ASGIApp) -> ASGIApp:
        """The application, its requests measured."""

        async def measured(scope: Scope, receive: Receive, send: Send) -> None:
            if scope["type"] != "http":
                await app(scope, receive, send)
                return
            method = scope["method"] if scope["method"] in METHODS else "other"
            begun = time.perf_counter()

            async def sent(message: Message) -> None:
                if message["type"] == "http.response.start":
                    self._took.labels(method, message["status"]).observe(time.perf_counter() - begun)
                await send(message)

            with self._present.track_inprogress():
                await app(scope, receive, sent)

        return measured
