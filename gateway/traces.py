"""Traces of what a process does, sent to the collector that the configuration names; nothing where it names none."""

from contextlib import ExitStack
from typing import TYPE_CHECKING

from gateway.config import Traces
from gateway.folders import APP
from gateway.problems import Refused
from streams.log import Log

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import TracerProvider

SEND_SECONDS = 5.0  # for one parcel of spans; what can't be sent is left out, and said


class Tracing:
    """Of the process `name`: follows logs by spans, or leaves them as they are. Refused where it can't be had."""

    def __init__(self, name: str, config: Traces, stack: ExitStack, provider: "TracerProvider | None" = None) -> None:
        self._provider = provider
        if config.endpoint and provider is None:
            self._provider = _provider(name, config.endpoint)
            stack.callback(self._provider.shutdown)

    def follow(self, log: Log, *, ends_here: bool = False) -> Log:
        """The log, followed. `ends_here`: what is read of it leads to no record."""
        if self._provider is None:
            return log
        from streams.tracing import Spans, traced

        return traced(log, Spans(self._provider.get_tracer(APP), ends_here=ends_here))


def _provider(name: str, endpoint: str) -> "TracerProvider":
    if not endpoint.startswith(("http://", "https://")):
        raise Refused(f"traces.endpoint: {endpoint[:80]!r} is no http(s) address, as http://localhost:4318/v1/traces")
    try:
        from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
        from opentelemetry.sdk.resources import Resource
        from opentelemetry.sdk.trace import TracerProvider
        from opentelemetry.sdk.trace.export import BatchSpanProcessor
    except ImportError as error:
        raise Refused(
            f"traces.endpoint: {error.name} is not installed: pip install 'opentelemetry-exporter-otlp-proto-http'"
        ) from error
    provider = TracerProvider(resource=Resource.create({"service.name": APP, "service.instance.id": name}))
    exporter = OTLPSpanExporter(endpoint=endpoint, timeout=SEND_SECONDS)
    provider.add_span_processor(BatchSpanProcessor(exporter))
    return provider
