"""What the live views say to Prometheus: the sums of all minutes that a worker keeps, read off its rows on request."""

from collections.abc import Callable, Iterable, Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import GaugeMetricFamily

from streams.windows import KINDS

LABELS = ["kind", "state"]


class WindowMetrics:
    """`rows`: window, kind, label, count, amount of all that is kept, as `Rows.windows` has them.

    Sums fall when a minute is forgotten, so they are gauges. Of labels the states of ended tasks alone are shown:
    fingerprints, nodes and images would be too many.
    """

    def __init__(
        self, registry: CollectorRegistry, rows: Callable[[], Iterable[tuple[int, str, str, int, int]]]
    ) -> None:
        self._rows = rows
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """How often, and for how long."""
        events = GaugeMetricFamily("crunch_reuse_views_events", "What live views have counted", labels=LABELS)
        seconds = GaugeMetricFamily("crunch_reuse_views_seconds", "Time that it took, or that it saved", labels=LABELS)
        for labels, (count, amount) in sorted(self._sums().items()):
            events.add_metric(labels, count)
            seconds.add_metric(labels, amount / 1000)
        yield from (events, seconds)

    def _sums(self) -> dict[tuple[str, str], tuple[int, int]]:
        sums = {(kind, ""): (0, 0) for kind in KINDS}
        for _, kind, label, count, amount in self._rows():
            of = (kind, label if kind == "ended" else "")
            before = sums.get(of, (0, 0))
            sums[of] = (before[0] + count, before[1] + amount)
        return sums
