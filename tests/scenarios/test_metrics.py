"""What processes measure of themselves: figures that are right, names that the dashboard may ask for, nobody's data."""

import asyncio
import json
import re
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from queue import SimpleQueue
from typing import Any

import pytest
from prometheus_client import CollectorRegistry, Metric
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import PlainTextResponse
from starlette.routing import Route
from starlette.types import ASGIApp, Message

from consumers.executor.service import Executor, Offer
from consumers.metrics import ExecutorMetrics, ProjectorMetrics
from coordinator import claims_decide
from coordinator.dispatch import Dispatch
from coordinator.proof import WatchedClaimsType
from gateway.api.metrics import RequestMetrics
from gateway.config import Metrics as Configured
from gateway.exposition import Condition
from gateway.health import Standing
from gateway.instruments import Instruments
from gateway.parts import Event
from gateway.problems import Refused
from gateway.wiring_parts import machine_part
from schemas.claims import Requested
from schemas.codec import encode
from schemas.topics import Topic
from schemas.work import Joined, Paused, Ready
from store.blocks import BlockStore
from store.collections import CollectionStore
from streams.checkpoints import MemoryCheckpoints
from streams.kafka_metrics import Metrics
from streams.kafka_settings import KafkaSettings
from streams.log import Append, Log, Place
from streams.loop import MachineType, Runner
from streams.memory import MemoryLog
from streams.rules_metrics import OTHER, WorkMetrics
from streams.windows import KINDS
from streams.windows_metrics import WindowMetrics
from tests.conftest import CHECKOUT
from tests.support.given import Given

CLAIMS = Place(Topic.CLAIMS, 0)
ONE_EACH = dict.fromkeys(Topic, 1)
OWN = re.compile(r"crunch_reuse_[a-z_0-9]+")


def instruments(listen: str = "", port: int = 0) -> Instruments:
    return Instruments("coordinator", Configured(listen=listen, port=port))


@contextmanager
def served(made: Instruments) -> Iterator[str]:
    with ExitStack() as stack:
        events: SimpleQueue[Event] = SimpleQueue()
        yield f"http://{made.serve(events, stack)}"
        assert events.empty()


def get(url: str) -> tuple[int, str]:
    try:
        with urllib.request.urlopen(url) as answer:
            return answer.status, answer.read().decode()
    except urllib.error.HTTPError as error:
        with error:
            return error.code, error.read().decode()


# --- Over HTTP --------------------------------------------------------------------------------------------------------


def test_a_process_shows_its_figures_its_life_and_whether_it_is_ready() -> None:
    made = instruments("127.0.0.1")
    with served(made) as address:
        assert get(f"{address}/healthz") == (200, "alive\n")
        assert get(f"{address}/readyz") == (503, "starting\n")
        made.condition.say(Standing(is_ready=True, detail="holds 3 partitions"))
        assert get(f"{address}/readyz") == (200, "holds 3 partitions\n")
        status, text = get(f"{address}/metrics")
        assert status == 200
        assert "crunch_reuse_ready 1.0" in text
        assert 'crunch_reuse_build_info{process="coordinator",rules="1",version="' in text
        assert "process_resident_memory_bytes" in text
        assert get(f"{address}/")[0] == 404


def test_a_process_that_hangs_is_neither_alive_nor_ready() -> None:
    now = 0.0
    condition = Condition(clock=lambda: now)
    made = instruments("127.0.0.1")
    made.condition = condition
    with served(made) as address:
        condition.say(Standing(is_ready=True, detail="fine"))
        now = 60.0
        assert get(f"{address}/healthz") == (503, "silent for 60 s\n")
        assert get(f"{address}/readyz")[0] == 503
        assert "crunch_reuse_ready 0.0" in get(f"{address}/metrics")[1]
        condition.say(Standing(is_ready=True, detail="fine"), again=False)
        now = 120.0
        assert get(f"{address}/healthz")[0] == 200


def test_a_port_that_is_taken_is_refused_in_one_line() -> None:
    with served(instruments("127.0.0.1")) as address, pytest.raises(Refused, match="metrics: can't listen at"):
        served(instruments("127.0.0.1", int(address.rsplit(":", 1)[1]))).__enter__()


def test_nothing_is_served_where_nobody_asked_for_it() -> None:
    with ExitStack() as stack:
        assert instruments().serve(SimpleQueue(), stack) == ""


# --- The machines -----------------------------------------------------------------------------------------------------


def run_until_caught_up(made: Instruments, log: Log, kind: MachineType) -> dict[str, Any]:
    """Run a machine's part until it has read its partition, and look at the figures just before it ends."""
    metrics = made.machines()
    made_runners: list[Runner] = []

    def make(log: Log, machine: MachineType, number: int) -> Runner:
        made_runners.append(Runner(log, machine, number, MemoryCheckpoints(), every=1))
        return made_runners[-1]

    part = machine_part(log, kind, [0], make, metrics)
    found: dict[str, Any] = {}
    watched = metrics.watch

    def watch(driver: Any) -> None:
        watched(driver)
        took = driver.took

        def enough(runner: Runner, seconds: float) -> None:
            took(runner, seconds)
            if runner.position == log.end(runner.place):
                made.ends.look(log)
                found.update(samples(made.registry))
                part.stop()

        driver.took = enough

    metrics.watch = watch  # type: ignore[method-assign]
    part.run()
    return found


def samples(registry: CollectorRegistry) -> dict[str, float]:
    """Every sample, by its name and the values of its labels."""
    return {
        " ".join([sample.name, *sample.labels.values()]): sample.value
        for metric in registry.collect()
        for sample in metric.samples
    }


def test_a_machine_says_how_far_it_is_and_how_long_it_takes() -> None:
    log = MemoryLog()
    log.create(ONE_EACH)
    wanted = [Requested(fingerprint="f" * 64, task=f"t{n}", root="job", owner="ada") for n in range(3)]
    log.append([Append(CLAIMS, "f" * 64, encode(want)) for want in wanted])
    made = instruments()
    found = run_until_caught_up(made, log, WatchedClaimsType(made.grants().heard))
    assert found["crunch_reuse_machine_position claims 0"] == log.end(CLAIMS)
    assert found["crunch_reuse_machine_emitted_floor claims 0"] == log.end(CLAIMS)
    assert found["crunch_reuse_machine_lag_records claims 0"] == 0
    assert found["crunch_reuse_machine_leading claims 0"] == 1
    assert found["crunch_reuse_machine_records_total claims 0"] == 4
    assert found["crunch_reuse_machine_outputs_total claims 0"] == 3 + 2 + 2
    assert found["crunch_reuse_machine_undecided_on_restart_records claims 0"] == 0
    assert found["crunch_reuse_machine_checkpoint_timestamp_seconds claims 0"] > 0
    assert found["crunch_reuse_machine_batch_seconds_count claims"] == 1
    assert found["crunch_reuse_grants_total first"] == 1
    assert found["crunch_reuse_live_executions_per_view_max"] == 1
    assert "crunch_reuse_machine_position claims 0" not in samples(made.registry), "it runs no more"


def test_two_live_executions_that_one_would_do_for_are_an_alert(
    caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = instruments()
    grants = made.grants()
    monkeypatch.setattr(claims_decide, "can_wait", lambda _execution, _want: False)
    story = Given(WatchedClaimsType(grants.heard)())
    for task in ("t1", "t2"):
        story.having(Requested(fingerprint="f" * 64, task=task, root="job", owner="ada"))
    assert samples(made.registry)["crunch_reuse_live_executions_per_view_max"] == 2
    assert "although 1 live executions would have done" in caplog.text


def test_work_nodes_and_slots_are_counted_and_a_jobs_own_words_are_no_labels() -> None:
    node = {"incarnation": "i", "verify_slots": 1, "cores": 4, "memory": 100, "scratch": 100}
    ready = {"fingerprint": "f" * 64, "task": "t", "root": "job", "owner": "ada", "cores": 1}
    story = Given(Dispatch()).having(
        Joined(pool="lab", node="n1", slots=2, **node),
        Joined(pool="lab", node="n2", slots=1, **node),
        Paused(pool="lab", node="n2", incarnation="i"),
        *(Ready(pool="lab", token=f"token-{n}", **ready) for n in range(3)),
        Ready(pool="my secret project", token="token-9", **ready),
    )
    registry = CollectorRegistry()
    runner = type("Here", (), {"machine": story.machine})()
    WorkMetrics(registry, lambda: [runner])
    found = samples(registry)
    assert found == {
        "crunch_reuse_work lab execute assigned": 2,
        "crunch_reuse_work lab execute queued": 1,
        f"crunch_reuse_work {OTHER} execute queued": 1,
        "crunch_reuse_nodes lab ready": 1,
        "crunch_reuse_nodes lab paused": 1,
        "crunch_reuse_slots lab execute": 3,
        "crunch_reuse_slots lab verify": 2,
        f"crunch_reuse_slots {OTHER} execute": 0,
        f"crunch_reuse_slots {OTHER} verify": 0,
        "crunch_reuse_slots_used lab execute": 2,
        "crunch_reuse_slots_used lab verify": 0,
        f"crunch_reuse_slots_used {OTHER} execute": 0,
        f"crunch_reuse_slots_used {OTHER} verify": 0,
    }


# --- Kafka's clients --------------------------------------------------------------------------------------------------


def statistics(name: str, sent: int, lag: int = -1, topic: str = "crunch-reuse.claims") -> str:
    broker = {"txbytes": sent, "rxerrs": 1, "rtt": {"p99": 2_500}}
    partitions = {"0": {"consumer_lag": lag}, "-1": {"consumer_lag": -1}}
    return json.dumps(
        {"name": name, "msg_cnt": 7, "brokers": {"b": broker}, "topics": {topic: {"partitions": partitions}}}
    )


def test_totals_of_clients_only_grow_also_when_clients_are_closed_and_made_anew() -> None:
    metrics = Metrics(KafkaSettings(servers="nowhere:1"))
    registry = CollectorRegistry()
    registry.register(metrics)
    metrics.count("records_appended", 5)
    for name, sent in (("a", 100), ("a", 150), ("b", 30)):
        metrics.hear(statistics(name, sent, lag=sent))
    found = samples(registry)
    assert found["crunch_reuse_kafka_records_appended_total"] == 5
    assert found["crunch_reuse_kafka_sent_bytes_total"] == 180
    assert found["crunch_reuse_kafka_requests_failed_total"] == 2
    assert found["crunch_reuse_kafka_unacknowledged_records"] == 14
    assert found["crunch_reuse_kafka_round_trip_seconds"] == 0.0025
    assert found["crunch_reuse_kafka_fetch_lag_records claims 0"] == 150
    assert "somebody-elses" not in repr(samples(registry))
    metrics.hear(statistics("c", 1, lag=9, topic="somebody-elses"))
    assert samples(registry)["crunch_reuse_kafka_sent_bytes_total"] == 181
    assert "somebody-elses" not in repr(samples(registry))


# --- Requests ---------------------------------------------------------------------------------------------------------


def test_requests_are_counted_by_method_and_status_and_never_by_path() -> None:
    registry = CollectorRegistry()

    def reply(request: Request) -> PlainTextResponse:
        return PlainTextResponse("", status_code=404 if "missing" in request.url.path else 200)

    app = Starlette(routes=[Route("/{path:path}", reply, methods=["GET", "BREW"])])
    measured = RequestMetrics(registry).around(app)
    for method, path in (("GET", "/zzzzz-8i9sb-secret"), ("GET", "/missing"), ("BREW", "/tea")):
        asyncio.run(ask(measured, method, path))
    found = samples(registry)
    counts = {name: value for name, value in found.items() if "_count" in name}
    named = "crunch_reuse_http_request_duration_seconds_count"
    assert counts == {f"{named} GET 200": 1, f"{named} GET 404": 1, f"{named} other 200": 1}
    assert found["crunch_reuse_http_requests_in_progress"] == 0
    assert "secret" not in repr(found)


async def ask(app: ASGIApp, method: str, path: str) -> None:
    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(_message: Message) -> None:
        pass

    scope = {"type": "http", "method": method, "path": path, "raw_path": path.encode(), "headers": []}
    await app({**scope, "query_string": b"", "server": ("here", 1), "scheme": "http", "root_path": ""}, receive, send)


def test_the_live_views_show_sums_and_of_labels_the_states_alone() -> None:
    registry = CollectorRegistry()
    kept = [(0, "ended", "copied", 2, 3000), (60_000, "ended", "copied", 1, 500), (0, "executed", "fingerprint", 4, 0)]
    WindowMetrics(registry, lambda: kept)
    found = samples(registry)
    assert (found["crunch_reuse_views_events ended copied"], found["crunch_reuse_views_seconds ended copied"]) == (
        3,
        3.5,
    )
    assert found["crunch_reuse_views_events executed "] == 4
    assert found["crunch_reuse_views_events failed_on_node "] == 0
    assert not any("fingerprint" in name for name in found)


# --- Names ------------------------------------------------------------------------------------------------------------


@pytest.fixture
def everything(tmp_path: Path) -> list[Metric]:
    """All that any of our processes may be asked for."""
    made = instruments()
    made.machines()
    made.grants()
    made.ends.look(MemoryLog())
    ProjectorMetrics(made.registry, made.ends)
    ExecutorMetrics(
        made.registry, Executor(MemoryLog(), CollectionStore(BlockStore(tmp_path)), tmp_path / "node", Offer())
    )  # type: ignore[arg-type]
    made.registry.register(Metrics(KafkaSettings(servers="nowhere:1")))
    RequestMetrics(made.registry)
    WindowMetrics(made.registry, list)
    return list(made.registry.collect())


def names_of(metric: Metric) -> set[str]:
    suffixes = {"counter": ["_total"], "histogram": ["_bucket", "_sum", "_count"], "info": ["_info"]}
    return {metric.name + suffix for suffix in suffixes.get(metric.type, [""])}


def test_what_the_dashboard_and_the_alerts_ask_for_is_there(everything: list[Metric]) -> None:
    present = {name for metric in everything for name in names_of(metric)}
    for file in ("dashboards/grafana.json", "dashboards/alerts.yml", "docs/operations.md"):
        text = (CHECKOUT / file).read_text("utf-8")
        asked = set(OWN.findall(text))
        assert asked
        assert asked <= present, file


def test_names_and_units_are_as_they_are_everywhere(everything: list[Metric]) -> None:
    ours = [metric for metric in everything if metric.name.startswith("crunch_reuse_")]
    assert len(ours) > 30
    for metric in ours:
        assert re.fullmatch(r"[a-z][a-z0-9_]*", metric.name)
        assert metric.documentation
        assert not metric.name.endswith(("_ms", "_milliseconds", "_kb", "_mb")), "seconds and bytes"


def test_the_page_of_all_figures_names_each_with_what_it_is(everything: list[Metric]) -> None:
    ours = sorted((one for one in everything if one.name.startswith("crunch_reuse_")), key=lambda one: one.name)
    endings = {"counter": "_total", "info": "_info"}
    table = [f"| `{one.name}{endings.get(one.type, '')}` | {one.type} | {one.documentation} |" for one in ours]
    page = (CHECKOUT / "docs/metrics.md").read_text("utf-8")
    assert [line for line in page.splitlines() if line.startswith("| `")] == table


def test_every_panel_of_the_dashboard_asks_for_something() -> None:
    board = json.loads((CHECKOUT / "dashboards/grafana.json").read_text("utf-8"))
    panels = [panel for panel in board["panels"] if panel["type"] != "row"]
    assert len(panels) > 10
    assert all(panel["targets"] and all(target["expr"] for target in panel["targets"]) for panel in panels)


def test_of_live_views_the_dashboard_asks_for_kinds_that_are_counted() -> None:
    board = json.loads((CHECKOUT / "dashboards/grafana.json").read_text("utf-8"))
    asked = [target["expr"] for panel in board["panels"] for target in panel.get("targets", [])]
    views = [expr for expr in asked if "crunch_reuse_views_" in expr]
    kinds = {kind for expr in views for found in re.findall(r'kind=~?"([^"]+)"', expr) for kind in found.split("|")}
    assert len(views) >= 5
    assert kinds == set(KINDS)
