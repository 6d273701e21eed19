"""Who is who, kept in memory: read again exactly when the settings have moved, and always what there is."""

import pytest

from readmodel import listing, long, registry
from readmodel.census import Census
from readmodel.long import Long
from readmodel.sight import sight
from tests.support.model import Model
from tests.support.office import spec

STEPS = [
    ("eve is granted what is ada's", lambda office: office.may_read("eve", "ada")),
    ("it is taken back", lambda office: office.may_not_read("eve", "ada")),
    ("ben becomes an admin", lambda office: office.user("ben", is_admin=True)),
    ("and leaves", lambda office: office.user("ben", is_active=False)),
]


def census(model: Model) -> Census:
    return Census(model.office.routes.log_ids["settings/0"])


def test_what_is_remembered_is_what_there_is(model: Model) -> None:
    kept = census(model)
    for what, happens in STEPS:
        before = model.ask(kept.now)
        happens(model.office)
        model.office.settle()
        people = model.ask(kept.now)
        assert people is not before, what
        for viewer in ("ada", "ben", "eve", "root", "nobody"):
            assert people.sight(viewer) == model.ask(sight, viewer), (what, viewer)
        assert people.standing("nobody") is None
    assert not people.standing("ben").is_active


def test_it_is_not_read_again_while_the_settings_stand_still(model: Model) -> None:
    kept = census(model)
    before = model.ask(kept.now)
    model.office.submit("ada", "job-1", spec())
    model.office.settle()
    assert model.ask(kept.now) is before


def test_a_token_that_nobody_has_makes_nobody_be_read_again(model: Model) -> None:
    registry.prepare(model.connection)
    kept = census(model)
    before = model.ask(kept.now)
    registry.add_token(model.connection, "the token of ada", "ada")
    shown = {
        secret: registry.token_shown(model.connection, secret, kept.settings) for secret in ("the token of ada", "?")
    }
    assert [found and found.user_uuid for found, _ in shown.values()] == ["ada", None]
    assert [kept.at(model.connection, mark) is before for _, mark in shown.values()] == [True, True]


def test_where_nothing_is_projected_nobody_is_known_and_nothing_remembered(model: Model) -> None:
    kept = Census("no log of ours")
    people = model.ask(kept.now)
    assert (people.mark, people.standing("ada")) == (None, model.ask(census(model).now).standing("ada"))
    assert model.ask(kept.now) is not people


def test_a_jobs_tasks_are_counted_as_they_come_and_go(model: Model) -> None:
    model.office.submit("ada", "job-1", spec())
    model.office.run()
    model.office.submit("ada", "job-2", spec(parameters="other"))
    model.office.settle()
    counted = model.ask(listing.task_counts, ["job-1", "job-2", "job-3"])
    nothing = {"todo": 0, "running": 0, "done": 0, "failed": 0}
    assert counted == {"job-1": nothing | {"done": 1}, "job-2": nothing | {"todo": 1}}
    model.office.cancel("job-2")
    model.office.settle()
    assert model.ask(listing.task_counts, ["job-2"]) == {"job-2": nothing | {"failed": 1}}


@pytest.mark.parametrize("wild", ["a%", "%", "\\%(x)s"])
def test_a_long_statement_is_given_its_parameters_by_name(model: Model, wild: str) -> None:
    statement = Long.of(b"select %(text)s::text as said, %(n)s::int as n, %(text)s like 'a%%' as fits")
    assert statement == Long(b"select $1::text as said, $2::int as n, $1 like 'a%' as fits", ("text", "n"))
    [row] = model.ask(long.fetch, statement, {"n": 1, "text": wild, "more": None})
    assert row == {"said": wild, "n": 1, "fits": wild.startswith("a")}
