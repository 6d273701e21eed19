"""What the runners of a process say of themselves to Prometheus: read off them when somebody asks.

Beside how long batches take, nothing is counted for it, so it costs the runners nothing. Labels are topics, partitions
and outcomes; never a user, a job or a fingerprint.
"""

import threading
from collections.abc import Callable, Iterator

from prometheus_client import CollectorRegistry, Histogram, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from streams.driver import Driver
from streams.ends import Ends
from streams.loop import Runner

BATCH_SECONDS = (0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)
LABELS = ("topic", "partition")

Read = Callable[[Runner], float | None]

_GAUGES: dict[str, tuple[str, Read]] = {
    "position": ("Offset of the next record to decide", lambda runner: runner.position),
    "emitted_floor": ("Offset below which all outputs are appended", lambda runner: runner.floor),
    "leading": ("1 where it appends what it decides, 0 where it follows", lambda runner: not runner.following),
    "hand_outputs": ("Outputs that a standby holds", lambda runner: runner.in_hand()),
    "undecided_on_restart_records": (
        "Records that would be decided again after a kill",
        lambda runner: runner.position - runner.kept.offset,
    ),
    "checkpoint_timestamp_seconds": ("When the state was last kept, seconds since 1970", lambda runner: runner.kept.at),
    "snapshot_offset": ("Offset of the newest snapshot written here for others", lambda runner: runner.kept.shared),
}
_COUNTERS: dict[str, tuple[str, Read]] = {
    "records": ("Records decided", lambda runner: runner.taken),
    "outputs": ("Outputs appended, or held by a standby", lambda runner: runner.emitted),
}


class MachineMetrics:
    """Of the drivers that it watches; `collect` is called by the registry, in any thread."""

    def __init__(self, registry: CollectorRegistry, ends: Ends) -> None:
        self._drivers: tuple[Driver, ...] = ()
        self._lock = threading.Lock()
        self._ends = ends
        ends.want(lambda: [runner.place for runner in self.runners()])
        self._batches = Histogram(
            "crunch_reuse_machine_batch_seconds",
            "Time for a batch: read, decide, append, acknowledge",
            ["topic"],
            registry=registry,
            buckets=BATCH_SECONDS,
        )
        registry.register(self)

    def watch(self, driver: Driver) -> None:
        """From now on its runners are reported."""
        driver.took = self._took
        with self._lock:
            self._drivers += (driver,)

    def forget(self, driver: Driver) -> None:
        """It runs no more."""
        with self._lock:
            self._drivers = tuple(other for other in self._drivers if other is not driver)

    def collect(self) -> Iterator[Metric]:
        """All of it, as it is now."""
        runners = self.runners()
        for name, (about, read) in _GAUGES.items():
            gauge = GaugeMetricFamily(f"crunch_reuse_machine_{name}", about, labels=LABELS)
            yield _filled(gauge, runners, read)
        for name, (about, read) in _COUNTERS.items():
            counter = CounterMetricFamily(f"crunch_reuse_machine_{name}", about, labels=LABELS)
            yield _filled(counter, runners, read)
        lag = GaugeMetricFamily("crunch_reuse_machine_lag_records", "Records not decided yet", labels=LABELS)
        yield _filled(lag, runners, self._lag)

    def runners(self) -> list[Runner]:
        """All that run here now."""
        return [runner for driver in self._drivers for runner in driver.crew.runners]

    def _lag(self, runner: Runner) -> float | None:
        return self._ends.behind(runner.place, runner.position)

    def _took(self, runner: Runner, seconds: float) -> None:
        self._batches.labels(runner.place.topic).observe(seconds)


def _filled(
    family: GaugeMetricFamily | CounterMetricFamily, runners: list[Runner], read: Read
) -> GaugeMetricFamily | CounterMetricFamily:
    for runner in runners:
        value = read(runner)
        if value is not None:
            family.add_metric([runner.place.topic, str(runner.place.partition)], float(value))
    return family
