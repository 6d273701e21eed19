"""Pages while something is away: projector, Postgres, live views. Each says what it knows, and how old that is."""

import asyncio
import json
import logging
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
import requests
from starlette.applications import Starlette

from consumers.projector import Projector
from gateway.api.assemble import Api
from gateway.api.server import bound
from gateway.api.service import TaskRules
from gateway.folders import Folders
from gateway.pages import scout
from gateway.pages.limit import Limit
from gateway.pages.web import FORM_FIELDS
from gateway.people import user_set
from readmodel import registry
from readmodel.connection import connect
from schemas.codec import encode
from schemas.facts import SettingChanged
from schemas.log import Cause
from schemas.topics import Topic
from streams.admin import create_topics
from streams.embedded import EmbeddedPostgres
from streams.log import Append, Place
from streams.postgres import PostgresLog

ANN = msgspec.structs.replace(user_set("ann"), is_admin=True)


class Worker:
    """Says what a worker of the live views says, until it is closed."""

    def __init__(self, partitions: list[int], rows: list[dict[str, Any]]) -> None:
        said = json.dumps({"partitions": partitions, "window_ms": 60_000, "rows": rows}).encode()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.send_response(200)
                self.send_header("Content-Length", str(len(said)))
                self.end_headers()
                self.wfile.write(said)

            def log_message(self, *_: object) -> None:
                """It is asked every second."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self.url = f"http://127.0.0.1:{self._server.server_port}"
        self._thread = Thread(target=self._server.serve_forever, args=(0.05,))
        self._thread.start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()


class Stage:
    """An API of this process, on a Postgres that may be stopped; `project` is all that there is of a projector."""

    def __init__(self, folder: Path, server: EmbeddedPostgres) -> None:
        self.server = server
        self.dsn = server.start()
        self.log = PostgresLog(self.dsn, patience=1.0)
        create_topics(self.log)
        self.project()
        self._offset = 0
        listening = bound("127.0.0.1", 0)
        folders = Folders(folder / "data")
        folders.create()
        now = int(time.time() * 1000)
        ended = {"window": now - now % 60_000, "kind": "ended"}
        rows = [
            ended | {"label": "copied", "count": 3, "amount": 9_000},
            ended | {"label": "complete", "count": 1, "amount": 0},
        ]
        self.worker = Worker([*range(1, self.log.partitions(Topic.FACTS))], rows)
        rules = TaskRules(b"k" * 32, "enforce")
        self.api = Api(self.log, self.dsn, folders, listening, self._no_images, rules, views=[self.worker.url])
        self.certificate = folders.api / "certificate.pem"
        self._thread = Thread(target=self.api.run)
        self._thread.start()
        self.say_who_there_is()
        self.project()
        with closing(connect(self.dsn)) as rows:
            self.token = registry.new_secret()
            registry.add_token(rows, self.token, ANN.user)

    @staticmethod
    def _no_images(name: str) -> Any:
        raise AssertionError(name)

    def say_who_there_is(self) -> None:
        """A fact, as the forwarder would say it."""
        source = self.log.genesis(Place(Topic.SETTINGS, 0)).log_id
        self._offset += 1
        fact = SettingChanged(change=msgspec.Raw(msgspec.json.encode(ANN)))
        value = encode(fact, Cause(source, self._offset, 0))
        self.log.append([Append(Place(Topic.FACTS, 0), "ann", value)])

    def project(self) -> None:
        """All that there is."""
        with closing(Projector(self.log, self.dsn)) as projector:
            projector.catch_up()

    def get(self, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}"}
        url = f"https://{self.api.address}{path}"
        return requests.get(url, headers=headers, verify=str(self.certificate), timeout=60, **options)

    def close(self) -> None:
        self.server.start()
        self.api.stop()
        self._thread.join()
        self.api.close()
        self.log.close()
        self.worker.close()
        self.server.stop()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    """Its pages wait for what the log says now: who asks again and again is no burden, and not asking too often."""
    with pytest.MonkeyPatch.context() as patched, tempfile.TemporaryDirectory(prefix="crunch-reuse-stage-") as folder:
        patched.setattr(scout, "FRESH", 0.5)
        made = Stage(Path(folder), EmbeddedPostgres(Path(folder)))
        yield made
        made.close()


def test_pages_are_limited_for_each_token(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(stage.api.pages, "looks", Limit(2, 3600.0))
    answers = [stage.get("/jobs.json") for _ in range(3)]
    assert [answered.status_code for answered in answers] == [200, 200, 429]
    assert int(answers[2].headers["retry-after"]) > 3000
    assert "Too many pages were asked for with this token" in stage.get("/jobs").text


def test_a_form_with_too_many_fields_is_refused(stage: Stage) -> None:
    url, fields = f"https://{stage.api.address}", {f"field {number}": "" for number in range(FORM_FIELDS + 1)}
    sent = {"headers": {"Origin": url}, "verify": str(stage.certificate), "timeout": 60}
    answered = requests.post(f"{url}/login", data=fields, **sent)
    assert (answered.status_code, "at most 20 fields" in answered.text) == (422, True)


def test_who_leaves_in_the_middle_of_a_form_is_no_failure_of_ours(
    stage: Stage, caplog: pytest.LogCaptureFixture
) -> None:
    heard = iter([{"type": "http.request", "body": b"tok", "more_body": True}, {"type": "http.disconnect"}])
    said: list[Any] = []

    async def receive() -> Any:
        return next(heard)

    async def send(message: Any) -> None:
        said.append(message)

    headers = [(b"host", b"here"), (b"origin", b"https://here"), (b"content-length", b"100")]
    scope = {"type": "http", "method": "POST", "path": "/login", "query_string": b"", "headers": headers}
    with caplog.at_level(logging.ERROR):
        asyncio.run(Starlette(routes=stage.api.pages.routes())(scope, receive, send))
    assert said[0]["status"] == 499
    assert not caplog.records


def test_a_projection_that_is_behind_says_so(stage: Stage) -> None:
    stage.project()
    now = stage.get("/jobs.json").json()["age"]
    assert now["standing"] == "current"
    stage.say_who_there_is()
    late = until(lambda: stage.get("/jobs.json").json()["age"], lambda age: age["standing"] == "behind")
    assert late["as_of"] is not None
    page = stage.get("/jobs")
    assert page.status_code == 200
    assert "Behind: the log says more than is shown yet" in page.text
    stage.project()
    until(lambda: stage.get("/jobs.json").json()["age"], lambda age: age["standing"] == "current")


def test_live_views_that_went_away_are_shown_as_they_were(stage: Stage) -> None:
    shown = until(lambda: stage.get("/minutes.json").json(), lambda told: told["read_at"])
    assert (shown["source"], shown["trouble"], shown["rate"], shown["saved"]) == ("live views", "", 75.0, 9_000)
    assert shown["missing"] == [0]
    assert "No worker shows partition 0 now" in stage.get("/minutes").text
    stage.worker.close()
    late = until(lambda: stage.get("/minutes.json").json(), lambda told: told["trouble"])
    assert (late["rate"], late["read_at"] >= shown["read_at"]) == (75.0, True)
    page = stage.get("/minutes").text
    assert f"The live views at {stage.worker.url} do not answer" in page
    assert "this is from" in page


def test_without_postgres_pages_say_that_they_know_nothing_and_open_ones_of_when_they_are(stage: Stage) -> None:
    with stage.get("/jobs.live", stream=True) as stream:
        said = (json.loads(line[6:]) for line in stream.iter_lines() if line.startswith(b"data: "))
        first = next(said)
        assert "parts" in first
        assert not first["trouble"]
        stage.server.stop()
        page = stage.get("/jobs")
        assert page.status_code == 503
        assert "database can&#39;t be reached" in page.text
        assert "Nothing is lost" in page.text
        assert int(page.headers["retry-after"]) > 0
        assert stage.get("/jobs.json").status_code == 503
        trouble = next(one for one in said if one["trouble"])
        assert "can't be reached now" in trouble["trouble"]
        assert "parts" not in trouble
        assert not trouble["over"]
        stage.server.start()
        back = next(one for one in said if not one["trouble"])
        assert back["age"]["standing"] in ("current", "behind", "unknown")
    assert until(lambda: stage.get("/jobs"), lambda page: page.status_code == 200)


def until(ask: Any, is_so: Any) -> Any:
    """What `ask` gives as soon as it is so; each question is a page that waits for its answer."""
    for _ in range(600):
        if is_so(found := ask()):
            return found
    raise AssertionError(found)
