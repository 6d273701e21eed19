"""All that one process measures of itself: a registry for Prometheus, and what its parts are observed with."""

from collections.abc import Iterator
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError, version
from queue import SimpleQueue

from prometheus_client import CollectorRegistry, Counter, GCCollector, Info, Metric, PlatformCollector, ProcessCollector
from prometheus_client.core import GaugeMetricFamily

from coordinator.machine import RULES_VERSION
from gateway.config import Metrics
from gateway.exposition import Condition, Exposition
from gateway.folders import APP
from gateway.parts import Event, Part, Parts, until_stopped
from streams.ends import Ends
from streams.log import Log
from streams.machine_metrics import MachineMetrics
from streams.rules_metrics import GrantMetrics, WorkMetrics


class Instruments:
    """Of the process `name`. Made once, before its parts."""

    def __init__(self, name: str, config: Metrics) -> None:
        self.registry = CollectorRegistry()
        self.ends = Ends()
        self.condition = Condition()
        self._config = config
        for collector in (ProcessCollector, PlatformCollector, GCCollector):
            collector(registry=self.registry)
        build = Info("crunch_reuse_build", "What runs here", registry=self.registry)
        build.info({"version": _version(), "rules": str(RULES_VERSION), "process": name.split("-")[0]})
        about = "Warnings and errors that were written to the journal"
        self._said = Counter("crunch_reuse_journal_messages", about, ["level"], registry=self.registry)
        self.registry.register(self)

    def said(self, level: str) -> None:
        """The journal has got a line of this level."""
        self._said.labels(level).inc()

    def collect(self) -> Iterator[Metric]:
        """Whether it is ready, and whether the log was reached when it was last asked."""
        about = "1 while the process does its work, 0 while it starts, waits or hangs"
        is_ready = self.condition.standing.is_ready and not self.condition.silent()
        yield GaugeMetricFamily("crunch_reuse_ready", about, value=is_ready)
        if self.ends.reached is not None:
            about = "1 where the log could say how far it goes when it was last asked"
            yield GaugeMetricFamily("crunch_reuse_log_reached", about, value=self.ends.reached)

    def serve(self, events: "SimpleQueue[Event]", stack: ExitStack) -> str:
        """Show it to who asks; the address, empty where nobody is to. Refused where it can't be had."""
        if not self._config.listen:
            return ""
        exposition = Exposition(self._config.listen, self._config.port, self.registry, self.condition)
        parts = Parts(events)
        stack.callback(parts.stop)
        parts.start(Part("metrics", exposition.run, exposition.stop))
        return exposition.address

    def observe_log(self, log: Log, events: "SimpleQueue[Event]", stack: ExitStack) -> None:
        """What the log's clients say, and where partitions end."""
        if metrics := getattr(log, "metrics", None):
            self.registry.register(metrics)
        if not self._config.listen:
            return
        own = log.clone()
        stack.callback(own.close)
        parts = Parts(events)
        stack.callback(parts.stop)
        parts.start(until_stopped("ends", lambda stop: self.ends.follow(own, stop)))

    def machines(self) -> MachineMetrics:
        """What the machines are observed with; once."""
        made = MachineMetrics(self.registry, self.ends)
        WorkMetrics(self.registry, made.runners)
        return made

    def grants(self) -> GrantMetrics:
        """What grants are observed with; once."""
        return GrantMetrics(self.registry)


def _version() -> str:
    try:
        return version(APP)
    except PackageNotFoundError:  # run from a checkout
        return "checkout"
