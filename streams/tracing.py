"""Traces over topics: one task can be followed from the command that began it to the row that tells of it.

A log that is wrapped here keeps the context of a trace beside each record (in Kafka as the header `traceparent`, as the
W3C has it), never in it: the bytes that machines and the audit see are the same with and without. Nothing else in the
system knows of traces. What belongs together is told from the records themselves:

- A machine's output names its cause, so the span of a step goes from the reading of that record to the append of what
  follows from it, below the span that the record came with.
- What an executor says is fenced by a token, so its span goes from the reading of the assignment that brought the token
  to the append: `claims started` is the way to the container, `claims exited` the execution.
- A command that nothing led to begins a trace.
"""

import time
from collections import OrderedDict
from collections.abc import Sequence
from threading import Lock
from typing import Any, NamedTuple, Protocol, cast

import msgspec
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Tracer, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator

from schemas.log import Cause
from schemas.topics import Topic
from streams.log import Append, Log, Place, Stored

QUIET = frozenset({"tick", "alive", "aged"})  # said all the time, of no task
REMEMBERED = 20_000  # records whose outputs may still come
HEADER = "traceparent"  # of the W3C
_PROPAGATOR = TraceContextTextMapPropagator()


class Carrier(Protocol):
    """A log that can keep a few characters beside each record."""

    def append_beside(self, records: Sequence[Append], beside: Sequence[str]) -> list[int]:
        """As `append`, with this beside each record; nothing where it is empty."""
        ...

    def read_beside(self, place: Place, offset: int, limit: int) -> tuple[list[Stored], dict[int, str]]:
        """As `read`, and by offset what stands beside records, as far as anything does."""
        ...


class _Work(msgspec.Struct):
    token: str = ""


class _Body(msgspec.Struct):
    type: str = ""
    token: str = ""
    work: _Work | None = None


class _Peek(msgspec.Struct):
    """As much of a record as says what it belongs to."""

    cause: Cause | None = None
    body: _Body = msgspec.field(default_factory=_Body)


_PEEK = msgspec.json.Decoder(_Peek)


class _Known(NamedTuple):
    """A record that was read, or a token that came: below which span, since when (ns since 1970), from where."""

    parent: str
    since: int
    place: Place


class Spans:
    """Makes the spans of one process; what its parts have read, for all instances of its log.

    `ends_here`: facts lead to no record here, so that they were read is all there is to tell.
    """

    def __init__(self, tracer: Tracer, *, ends_here: bool = False) -> None:
        self._tracer = tracer
        self._ends_here = ends_here
        self._lock = Lock()
        self._causes: OrderedDict[tuple[str, int], _Known] = OrderedDict()
        self._tokens: OrderedDict[str, _Known] = OrderedDict()

    def read(self, log_id: str, place: Place, records: Sequence[Stored], beside: dict[int, str]) -> None:
        """These were read, with that beside them."""
        now = time.time_ns()
        for record in records:
            parent = beside.get(record.offset)
            if parent is None:
                continue
            if self._ends_here and place.topic is Topic.FACTS:
                self._span(f"{place.topic} read", parent, now, place, SpanKind.CONSUMER).end(now)
            known = _Known(parent, now, place)
            self._remember(self._causes, (log_id, record.offset), known)
            if place.topic is Topic.ASSIGNMENTS and (body := _peeked(record.value).body).work:
                self._remember(self._tokens, body.work.token, known)

    def begun(self, records: Sequence[Append]) -> tuple[list[str], list[Span]]:
        """What is to stand beside these records, and the spans that end when they are appended."""
        steps: dict[tuple[str, int], str] = {}
        beside, spans = [], []
        for record in records:
            peeked = _peeked(record.value)
            step = (peeked.cause.log_id, peeked.cause.offset) if peeked.cause else None
            if step is None and peeked.body.type in QUIET:
                beside.append("")
                continue
            if step is None or step not in steps:
                span = self._begin(record, peeked, step)
                spans.append(span)
                carried = _carried(span)
                if step:
                    steps[step] = carried
            beside.append(steps[step] if step else carried)
        return beside, spans

    def _begin(self, record: Append, peeked: _Peek, step: tuple[str, int] | None) -> Span:
        now = time.time_ns()
        if step:
            known = self._causes.get(step)
            place = known.place if known else record.place
            name = f"{place.topic} step" if known else f"{record.place.topic} output"
            return self._span(name, known and known.parent, known.since if known else now, place, SpanKind.CONSUMER)
        known = self._tokens.get(peeked.body.token) if peeked.body.token else None
        name = f"{record.place.topic} {peeked.body.type}"
        since = known.since if known else now
        return self._span(name, known and known.parent, since, record.place, SpanKind.PRODUCER)

    def _span(self, name: str, parent: str | None, since: int, place: Place, kind: SpanKind) -> Span:
        about = {
            "messaging.destination.name": str(place.topic),
            "messaging.destination.partition.id": str(place.partition),
        }
        return self._tracer.start_span(name, _context(parent), kind=kind, attributes=about, start_time=since)

    def _remember(self, known: "OrderedDict[Any, _Known]", key: object, what: _Known) -> None:
        with self._lock:
            known[key] = what
            while len(known) > REMEMBERED:
                known.popitem(last=False)


class TracedLog:
    """A log whose appends and reads are told to `spans`; all else is the log's own."""

    def __init__(self, log: Log, spans: Spans) -> None:
        self._log = log
        self._carrier = cast(Carrier, log)
        self._spans = spans

    def __getattr__(self, name: str) -> Any:
        return getattr(self._log, name)

    def append(self, records: Sequence[Append]) -> list[int]:
        """Append durably; the offsets. What a machine has no outputs for leaves no span."""
        beside, spans = self._spans.begun(records)
        try:
            return self._carrier.append_beside(records, beside)
        finally:
            for span in spans:
                span.end()

    def read(self, place: Place, offset: int, limit: int) -> list[Stored]:
        """Up to `limit` records from `offset` on."""
        records, beside = self._carrier.read_beside(place, offset, limit)
        if beside:
            self._spans.read(self._log.genesis(place).log_id, place, records, beside)
        return records

    def clone(self) -> "TracedLog":
        """The same log for another thread."""
        return TracedLog(self._log.clone(), self._spans)


def traced(log: Log, spans: Spans) -> Log:
    """The log, followed by spans. It has to be a Carrier too."""
    return cast(Log, TracedLog(log, spans))


def _peeked(value: bytes) -> _Peek:
    try:
        return _PEEK.decode(value)
    except (msgspec.DecodeError, UnicodeDecodeError):  # garbage belongs to nothing
        return _Peek()


def _carried(span: Span) -> str:
    carrier: dict[str, str] = {}
    _PROPAGATOR.inject(carrier, set_span_in_context(span))
    return carrier.get(HEADER, "")


def _context(parent: str | None) -> Context | None:
    return _PROPAGATOR.extract({HEADER: parent}) if parent else Context()
