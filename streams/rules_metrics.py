"""What the rules decide, for Prometheus: grants, work under way, nodes and their slots; an alert that must not come.

Pools that no node belongs to are reported together, as `other`: their names are whatever a job says.
"""

import logging
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Literal

from prometheus_client import CollectorRegistry, Gauge, Metric
from prometheus_client import Counter as Count
from prometheus_client.core import GaugeMetricFamily

from coordinator.dispatch import Dispatch
from coordinator.dispatch_state import Node, Pool
from schemas.facts import Doubled, Granted
from streams.loop import Runner

LOGGER = logging.getLogger(__name__)
OTHER = "other"  # pools without nodes
KINDS: tuple[Literal["execute", "verify"], ...] = ("execute", "verify")
HELD = ("assigned", "stopping")  # statuses of work that takes a slot


class GrantMetrics:
    """Of all grants in a process: `heard` is for `coordinator.proof.WatchedClaimsType`."""

    def __init__(self, registry: CollectorRegistry) -> None:
        self._grants = Count("crunch_reuse_grants", "Executions granted", ["why"], registry=registry)
        self._most = Gauge(
            "crunch_reuse_live_executions_per_view_max",
            "Most live executions of one fingerprint that who was granted one could have been served by: 1",
            registry=registry,
        )
        self._highest = 0

    def heard(self, fact: Granted | Doubled) -> None:
        """A grant, or that there was something beside the last one that would have done."""
        if isinstance(fact, Granted):
            self._grants.labels(fact.why).inc()
            self._reach(1)
            return
        LOGGER.error(
            "fingerprint %s was granted under %s although %d live executions would have done: run `audit verify`",
            *(fact.fingerprint, fact.token, fact.live - 1),
        )
        self._reach(fact.live)

    def _reach(self, live: int) -> None:
        if live > self._highest:
            self._highest = live
            self._most.set(live)


class WorkMetrics:
    """Of the dispatch machine among `runners`, where there is one."""

    def __init__(self, registry: CollectorRegistry, runners: Callable[[], list[Runner]]) -> None:
        self._runners = runners
        registry.register(self)

    def collect(self) -> Iterator[Metric]:
        """Work by status, nodes by standing, slots."""
        work = GaugeMetricFamily(
            "crunch_reuse_work",
            "Claims in flight: executions and verifications, from their grant until their slot is free again",
            labels=("pool", "kind", "status"),
        )
        nodes = GaugeMetricFamily("crunch_reuse_nodes", "Nodes", labels=("pool", "standing"))
        slots = GaugeMetricFamily("crunch_reuse_slots", "Slots that nodes offer", labels=("pool", "kind"))
        used = GaugeMetricFamily("crunch_reuse_slots_used", "Slots that hold work", labels=("pool", "kind"))
        for label, pools in self._pools().items():
            _add(label, pools, work, nodes, slots, used)
        yield from (work, nodes, slots, used)

    def _pools(self) -> dict[str, list[Pool]]:
        """Pools by label. They change while we look: what is counted is copied first."""
        labelled: dict[str, list[Pool]] = {}
        for runner in self._runners():
            if isinstance(runner.machine, Dispatch):
                for name, pool in list(runner.machine.pools().items()):
                    labelled.setdefault(name if pool.nodes else OTHER, []).append(pool)
        return labelled


def _add(
    label: str,
    pools: list[Pool],
    work: GaugeMetricFamily,
    nodes: GaugeMetricFamily,
    slots: GaugeMetricFamily,
    used: GaugeMetricFamily,
) -> None:
    items = Counter((item.work.kind, item.status) for pool in pools for item in list(pool.work.values()))
    for (kind, status), number in sorted(items.items()):
        work.add_metric([label, kind, status], number)
    present = [node for pool in pools for node in list(pool.nodes.values())]
    for standing, number in sorted(Counter(map(_standing, present)).items()):
        nodes.add_metric([label, standing], number)
    slots.add_metric([label, "execute"], sum(node.slots for node in present))
    slots.add_metric([label, "verify"], sum(node.verify_slots for node in present))
    held = Counter(item.work.kind for pool in pools for item in list(pool.work.values()) if item.status in HELD)
    for kind in KINDS:
        used.add_metric([label, kind], held[kind])


def _standing(node: Node) -> str:
    if node.draining:
        return "draining"
    if node.paused:
        return "paused"
    return "silent" if node.quiet else "ready"
