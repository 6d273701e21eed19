"""Traces that follow one task over the topics, with its context beside the records; nothing of it where it is off."""

import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack, closing
from http.server import BaseHTTPRequestHandler, HTTPServer
from queue import SimpleQueue

import pytest
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from consumers.projector import Projector
from gateway.config import Traces
from gateway.problems import Refused
from gateway.traces import Tracing
from schemas.codec import encode
from schemas.work import Tick
from streams.audit import verify
from streams.log import Append, Log
from streams.postgres import PostgresLog
from tests.support.audits import WITH_STAND_INS
from tests.support.kafkas import SOON, new_log
from tests.support.logs import WORK, records
from tests.support.office import COUNTS, Office, machine_types, spec
from tests.support.postgres import dsn, postgres_server

__all__ = ["dsn", "new_log", "postgres_server"]


@pytest.fixture(params=["postgres", pytest.param("kafka", marks=pytest.mark.needs("kafka"))])
def log(request: pytest.FixtureRequest, dsn: str) -> Iterator[Log]:
    if request.param == "kafka":
        yield request.getfixturevalue("new_log")(counts=COUNTS)
        return
    with closing(PostgresLog(dsn)) as made:
        made.create(COUNTS)
        yield made


class Collected:
    """Spans of several processes, as the collector has them in the end."""

    def __init__(self) -> None:
        self.exporter = InMemorySpanExporter()

    def process(self, stack: ExitStack) -> Tracing:
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(self.exporter))
        return Tracing("test", Traces(endpoint="memory"), stack, provider)

    def way_to(self, span: ReadableSpan) -> list[str]:
        """Names of the spans from the first one of the trace to this one."""
        by_id = {one.context.span_id: one for one in self.exporter.get_finished_spans() if one.context}
        names = [span.name]
        while span.parent is not None:
            span = by_id[span.parent.span_id]
            names.insert(0, span.name)
        return names


def test_one_task_is_followed_from_the_command_to_the_read_model(log: Log, dsn: str) -> None:
    collected = Collected()
    with ExitStack() as stack:
        office = Office(collected.process(stack).follow(log), COUNTS)
        office.user("ada")
        office.submit("ada", "job-1", spec())
        office.run()
        told = collected.process(stack).follow(log.clone(), ends_here=True)
        with closing(told), closing(Projector(told, dsn)) as projector:
            projector.catch_up()
    ways = [collected.way_to(span) for span in collected.exporter.get_finished_spans() if span.name == "facts read"]
    to_the_node = ["tasks job_submitted", "tasks step", "claims step", "work step"]
    for said in ("claims started", "claims exited"):
        assert [*to_the_node, said, "claims step", "tasks step", "facts read"] in ways
    report = verify(log, machine_types(COUNTS), checkers=WITH_STAND_INS)
    assert report.wrong == 0, "traces are no part of what was decided"


def test_a_trim_takes_what_stands_beside_the_records_along(log: Log) -> None:
    with ExitStack() as stack:
        followed = Collected().process(stack).follow(log)
        followed.append(records(WORK, b"1", b"2", b"3"))
        followed.trim(WORK, 3)
        assert [record.value for record in followed.read(WORK, 3, 10)] == [b"3"]
        assert set(followed.read_beside(WORK, 3, 10)[1]) <= {3}  # type: ignore[attr-defined]


def test_what_is_said_all_the_time_leaves_no_spans(log: Log) -> None:
    collected = Collected()
    with ExitStack() as stack:
        followed = collected.process(stack).follow(log)
        followed.append([Append(WORK, "", encode(Tick())), Append(WORK, "k", b"other")])
        assert set(followed.read_beside(WORK, 1, 10)[1]) == {2}  # type: ignore[attr-defined]
    assert len(collected.exporter.get_finished_spans()) == 1


def test_records_without_context_and_foreign_headers_are_read_as_ever(log: Log) -> None:
    log.append(records(WORK, b"plain"))
    with ExitStack() as stack:
        followed = Collected().process(stack).follow(log)
        assert [record.value for record in followed.read(WORK, 1, 10)] == [b"plain"]
        followed.append(records(WORK, b"followed"))
    assert [record.value for record in log.read(WORK, 1, 10)] == [b"plain", b"followed"]


def test_spans_reach_a_collector(dsn: str) -> None:
    parcels: SimpleQueue[tuple[str, bytes]] = SimpleQueue()

    class Collector(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            parcels.put((self.path, self.rfile.read(int(self.headers["Content-Length"]))))
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Collector) as server, closing(PostgresLog(dsn)) as log:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        log.create(COUNTS)
        with ExitStack() as stack:
            endpoint = f"http://127.0.0.1:{server.server_port}/v1/traces"
            Tracing("coordinator", Traces(endpoint=endpoint), stack).follow(log).append(records(WORK, b"1"))
        path, parcel = parcels.get(timeout=SOON)
        server.shutdown()
    assert path == "/v1/traces"
    assert all(word in parcel for word in (b"crunch-reuse", b"coordinator", b"messaging.destination.name"))


OFF = """
import sys
import gateway.wiring_roles
from contextlib import ExitStack
from gateway.config import Traces
from gateway.traces import Tracing
log = object()
with ExitStack() as stack:
    assert Tracing("coordinator", Traces(), stack).follow(log) is log
loaded = [name for name in sys.modules if name.startswith("opentelemetry")]
assert not loaded, loaded
"""


def test_where_it_is_off_the_log_is_itself_and_nothing_is_loaded() -> None:
    subprocess.run([sys.executable, "-c", OFF], check=True)


def test_a_wrong_address_is_refused() -> None:
    with (
        ExitStack() as stack,
        pytest.raises(Refused, match=r"traces\.endpoint: 'localhost:4318' is no http\(s\) address"),
    ):
        Tracing("coordinator", Traces(endpoint="localhost:4318"), stack)
