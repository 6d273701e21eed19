"""Jobs that opt out: `no_reuse` neither takes nor gives, `refresh` gives but does not take."""

from typing import Any

import pytest

from schemas.claims import Invalidated
from schemas.facts import TaskChanged
from schemas.topics import Topic
from tests.support.office import Office, spec


class Town(Office):
    """An office of Ada's. `ends`: how each job's one task ended, in the order in which they did."""

    def __init__(self) -> None:
        super().__init__()
        self.user("ada")
        self.settle()

    def asks(self, root: str, **fields: Any) -> None:
        self.submit("ada", root, spec(root, **fields))
        self.settle()

    @property
    def ends(self) -> dict[str, str]:
        places = [place for place in self.log.at if place.topic is Topic.FACTS]
        facts = [body for place in places for body in self.read(place)]
        last = [fact for fact in facts if isinstance(fact, TaskChanged) and fact.state in ("complete", "copied")]
        return {fact.root: fact.state for fact in last}


def test_no_reuse_takes_nothing_that_is_there() -> None:
    town = Town()
    town.asks("earlier")
    town.run()
    town.asks("alone", no_reuse=True)
    town.run()
    assert town.ends == {"earlier": "complete", "alone": "complete"}


def test_no_reuse_gives_nothing_to_who_comes_later() -> None:
    town = Town()
    town.asks("alone", no_reuse=True)
    town.run()
    town.asks("later")
    town.run()
    assert town.ends == {"alone": "complete", "later": "complete"}


@pytest.mark.parametrize("first", [True, False])
def test_nobody_waits_on_no_reuse_nor_it_on_others(first: bool) -> None:
    town = Town()
    town.asks("one", no_reuse=first)
    town.asks("two", no_reuse=not first)
    assert len([ready for ready in town.read_work() if ready.kind == "execute"]) == 2
    town.run()
    assert town.ends == {"one": "complete", "two": "complete"}


def test_refresh_takes_nothing_that_is_there_or_runs() -> None:
    town = Town()
    town.asks("earlier")
    town.run()
    town.asks("fresh", refresh=True)
    town.asks("fresh too", refresh=True)
    town.run()
    assert town.ends == {"earlier": "complete", "fresh": "complete", "fresh too": "complete"}


def test_refresh_gives_to_who_waits_and_to_who_comes_later() -> None:
    town = Town()
    town.asks("fresh", refresh=True)
    town.asks("meanwhile")
    town.run()
    town.asks("later")
    town.run()
    assert town.ends == {"fresh": "complete", "meanwhile": "copied", "later": "copied"}


def test_what_refresh_made_stands_where_the_earlier_output_is_wrong() -> None:
    town = Town()
    town.asks("earlier")
    town.run()
    town.exits = lambda ready: {"output": "right+1"}
    town.asks("fresh", refresh=True)
    town.run()
    wrong, right = (ready for ready in town.done if ready.kind == "execute")
    town.say(Topic.CLAIMS, Invalidated(fingerprint=wrong.fingerprint, token=wrong.token))
    town.asks("later")
    town.run()
    assert (town.ends["later"], right.fingerprint) == ("copied", wrong.fingerprint)
    assert len(town.done) == 2
