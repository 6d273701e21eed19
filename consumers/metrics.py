"""What the consumers say of themselves to Prometheus: read off them when somebody asks."""

from collections.abc import Iterator

from prometheus_client import CollectorRegistry, Metric
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

from consumers.executor.service import Executor
from consumers.projector import Projector
from schemas.topics import Topic
from streams.ends import Ends
from streams.log import Place


class ExecutorMetrics:
    """Of the one executor of a process."""

    def __init__(self, registry: CollectorRegistry, executor: Executor) -> None:
        self._executor = executor
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """What the node offers, what it holds, how executions ended."""
        offer = self._executor.offer
        slots = GaugeMetricFamily("crunch_reuse_executor_slots", "Slots that this node offers", labels=["kind"])
        slots.add_metric(["execute"], offer.slots)
        slots.add_metric(["verify"], offer.verify_slots)
        held = GaugeMetricFamily("crunch_reuse_executor_work", "Work that this node holds", labels=["phase"])
        for phase, number in sorted(self._executor.phases().items()):
            held.add_metric([phase], number)
        ended = CounterMetricFamily(
            "crunch_reuse_executor_executions", "Executions that ended on this node", labels=["outcome"]
        )
        for outcome, number in sorted(self._executor.outcomes.items()):
            ended.add_metric([outcome], number)
        yield from (slots, held, ended)


class ProjectorMetrics:
    """Of the projectors of a process, one for what it holds at a time."""

    def __init__(self, registry: CollectorRegistry, ends: Ends) -> None:
        self._projectors: tuple[Projector, ...] = ()
        self._projected = self._left_out = 0  # by those that run no more
        self._ends = ends
        ends.want(lambda: [place for place, _ in self._positions()])
        registry.register(self)

    def watch(self, projector: Projector) -> None:
        """From now on it is reported."""
        self._projectors += (projector,)

    def forget(self, projector: Projector) -> None:
        """It runs no more."""
        self._projected += projector.projected
        self._left_out += projector.left_out
        self._projectors = tuple(other for other in self._projectors if other is not projector)

    def collect(self) -> Iterator[Metric]:
        """How far the read model is, and what it is behind."""
        position = GaugeMetricFamily(
            "crunch_reuse_projector_position", "Offset of the next fact to project", labels=["partition"]
        )
        lag = GaugeMetricFamily(
            "crunch_reuse_projector_lag_records", "Facts that are not in the read model yet", labels=["partition"]
        )
        for place, offset in self._positions():
            position.add_metric([str(place.partition)], offset)
            if (behind := self._ends.behind(place, offset)) is not None:
                lag.add_metric([str(place.partition)], behind)
        about = "Facts that were projected, and repeats that were dropped"
        projected = CounterMetricFamily("crunch_reuse_projector_records", about)
        projected.add_metric([], self._projected + sum(one.projected for one in self._projectors))
        about = "Records among the facts that no machine of this log wrote: they count for nothing"
        left_out = CounterMetricFamily("crunch_reuse_projector_left_out_records", about)
        left_out.add_metric([], self._left_out + sum(one.left_out for one in self._projectors))
        yield from (position, lag, projected, left_out)

    def _positions(self) -> list[tuple[Place, int]]:
        projected = [at for projector in self._projectors for at in list(projector.positions.items())]
        return [(Place(Topic.FACTS, number), offset) for number, offset in projected]
