"""Pages while something is away: the projector, or Postgres. Each says what it knows, and how old that is."""

import json
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from threading import Thread
from typing import Any

import msgspec
import pytest
import requests

from consumers.projector import Projector
from gateway.api.assemble import Api
from gateway.api.server import bound
from gateway.api.service import TaskRules
from gateway.folders import Folders
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

ANN = user_set("ann")


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
        self.api = Api(self.log, self.dsn, folders, listening, self._no_images, TaskRules(b"k" * 32, "enforce"))
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
        self.server.stop()


@pytest.fixture(scope="module")
def stage() -> Iterator[Stage]:
    with tempfile.TemporaryDirectory(prefix="crunch-reuse-stage-") as folder:
        made = Stage(Path(folder), EmbeddedPostgres(Path(folder)))
        yield made
        made.close()


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
