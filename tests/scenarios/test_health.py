"""What a process says of itself: its journal, its health, its duties, and whether it reaches the store."""

import json
import os
from pathlib import Path
from queue import SimpleQueue

import pytest

from gateway.duties import Duties, Duty
from gateway.health import Health, Standing, ask
from gateway.journal import Journal
from gateway.parts import Event, Part
from gateway.problems import Problem
from gateway.storewatch import StoreWatch
from schemas.topics import Topic
from store import identity
from store.errors import StoreUnreachable
from store.folder import MARKER
from streams.log import Place

READY = Standing(is_ready=True, detail="holds 3 partitions")


def test_a_process_is_healthy_while_it_says_so(tmp_path: Path) -> None:
    health = Health(tmp_path, "projector")
    with health.sole():
        with pytest.raises(Problem, match="projector: it does not run on this data folder, or is starting"):
            ask(tmp_path, "projector")
        health.say(Standing(is_ready=False, detail="starting"))
        with pytest.raises(Problem, match=f"projector: process {os.getpid()} is not ready: starting"):
            ask(tmp_path, "projector")
        health.say(READY)
        assert ask(tmp_path, "projector").detail == "holds 3 partitions"
    with pytest.raises(Problem, match="does not run"):
        ask(tmp_path, "projector")


def test_a_process_goes_on_where_it_cannot_say_how_it_is(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    health = Health(tmp_path, "coordinator")
    with health.sole():
        in_the_way = tmp_path / "coordinator" / "health.new"
        in_the_way.mkdir()
        health.say(READY)
        health.say(READY)
        assert [record.getMessage() for record in caplog.records] == [
            f"can't write how this process is to {in_the_way}: Is a directory; make room"
        ]
        in_the_way.rmdir()
        health.say(READY)
        assert ask(tmp_path, "coordinator").is_ready


def test_what_a_killed_or_frozen_process_said_is_not_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    health = Health(tmp_path, "projector")
    with health.sole():
        health.say(READY)
        monkeypatch.setattr("gateway.health.STALE_SECONDS", -1.0)
        with pytest.raises(Problem, match="has said nothing for 0 s: it is frozen, or its disk full"):
            ask(tmp_path, "projector")
        said = (tmp_path / "projector" / "health.json").read_bytes()
    (tmp_path / "projector" / "health.json").write_bytes(said)
    with pytest.raises(Problem, match="projector: it was killed: start it again"):
        ask(tmp_path, "projector")


def test_the_only_executor_of_a_machine_answers_without_its_node(tmp_path: Path) -> None:
    health = Health(tmp_path, "executor-node1")
    with health.sole():
        health.say(READY)
        assert ask(tmp_path, "executor").name == "executor-node1"


def test_two_of_one_name_are_refused(tmp_path: Path) -> None:
    with Health(tmp_path, "projector").sole(), pytest.raises(Problem, match="a name of its own with --name"):
        Health(tmp_path, "projector").sole().__enter__()


def test_the_journal_is_words_for_people_and_json_for_programs(capfd: pytest.CaptureFixture[str]) -> None:
    Journal("coordinator", as_json=True).say("partitions", taken=["claims/1", "claims/0"], given=[], held=2, why="a b")
    out, err = capfd.readouterr()
    assert err.endswith("Z coordinator partitions taken=claims/0,claims/1 held=2 why='a b'\n")
    line = json.loads(out)
    assert (line["process"], line["action"], line["taken"]) == ("coordinator", "partitions", "claims/0,claims/1")


def test_duties_begin_in_order_go_on_while_they_are_due_and_end_the_last_one_first() -> None:
    story: list[str] = []
    names = {0: ["tables", "reader"], 1: ["reader", "other"]}

    def duty(name: str) -> Duty:
        story_of = {"begin": lambda _: story.append(f"begin {name}"), "end": lambda: story.append(f"end {name}")}

        def make(stack: object) -> Part:
            story_of["begin"](stack)
            stopped: SimpleQueue[None] = SimpleQueue()
            return Part(name, stopped.get, lambda: (story_of["end"](), stopped.put(None)))

        return Duty(name, make)

    events: SimpleQueue[Event] = SimpleQueue()
    duties = Duties(events, lambda places: [duty(name) for place in sorted(places) for name in names[place.partition]])
    duties.hold(frozenset({Place(Topic.FACTS, 0)}))
    duties.hold(frozenset({Place(Topic.FACTS, 1)}))
    duties.hold(frozenset())
    assert story == ["begin tables", "begin reader", "end tables", "begin other", "end other", "end reader"]
    assert events.empty()


def test_a_store_is_known_by_the_name_in_its_marker(tmp_path: Path) -> None:
    assert "is it mounted?" in (identity.trouble(tmp_path / "store", "log-1") or "")
    identity.claim(tmp_path / "store", "log-1")
    assert identity.trouble(tmp_path / "store", "log-1") is None
    assert "not the one of this log" in (identity.trouble(tmp_path / "store", "log-2") or "")
    with pytest.raises(StoreUnreachable, match="it is the store of another log"):
        identity.claim(tmp_path / "store", "log-2")
    identity.claim(tmp_path / "store", "log-2", anew=True)
    assert identity.trouble(tmp_path / "store", "log-2") is None


def test_a_store_that_does_not_answer_is_trouble_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As a network file system whose server is gone: who opens the marker waits for ever."""
    (tmp_path / "store").mkdir()
    os.mkfifo(tmp_path / "store" / MARKER)
    monkeypatch.setattr("gateway.storewatch.LONGEST_LOOK", 0.0)
    with StoreWatch.of_folder(tmp_path / "store", "log-1") as watch:
        assert "has not answered for" in (watch.trouble() or "")
    (tmp_path / "store" / MARKER).write_text("log-1")
