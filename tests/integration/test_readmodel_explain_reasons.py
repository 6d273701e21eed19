"""Why nothing earlier would do: each reason that an explanation knows, by a story in which it is the one."""

import pytest

from readmodel import queries
from readmodel.telling import sentences
from schemas import claims as c
from schemas.reasons import Failure
from schemas.spec import Resources
from schemas.topics import Topic
from tests.support.mishaps import ends_too_late, is_looked_at, is_missing
from tests.support.office import spec


@pytest.mark.parametrize(
    ("fields", "code", "said"),
    [
        ({"is_pure": False}, "not_pure", "not declared pure"),
        ({"ineligible": "image is a tag"}, "ineligible", "image is a tag"),
        ({"no_reuse": True}, "no_reuse", "no reuse"),
        ({"refresh": True}, "refresh", "fresh execution"),
    ],
)
def test_explain_why_its_author_kept_it_from_reuse(model, fields, code, said):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.submit("ada", "job-2", spec("two", **fields))
    office.run()
    [why] = model.explained("ada", "job-2").why_executed
    assert why.code == code
    assert said in why.text


def test_explain_an_entry_that_was_declared_wrong(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.say(Topic.CLAIMS, c.Invalidated(fingerprint=office.done[0].fingerprint, reason="wrong reference"))
    office.submit("ada", "job-2", spec("two"))
    office.run()
    explained = model.explained("ada", "job-2")
    assert [why.code for why in explained.why_executed] == ["invalidated"]
    assert "taken out of use for good (wrong reference)" in explained.why_executed[0].text


def test_explain_a_disagreement_and_show_both_sides(model):
    office = model.office
    office.may_read("ben", "ada")
    office.environment = "debian 12"
    office.submit("ada", "job-1", spec("one"))
    office.run()
    one = model.task("ada", "job-1")
    office.environment = "debian 13"
    office.exits = lambda ready: {"output": "something else"}
    office.submit("ada", "job-2", spec("again", refresh=True))
    office.run()
    again = model.task("ada", "job-2")
    office.submit("ben", "job-3", spec("three"))
    office.run()
    explained = model.explained("ben", "job-3")
    assert [why.code for why in explained.why_executed] == ["conflict"]
    assert [(side.output, side.environment) for side in explained.sides] == [
        (one.output, "debian 12"),
        ("something else", "debian 13"),
    ]
    assert sentences(explained)[2:] == [
        f"  {one.output}: of {one.task}, on n1, under bubblewrap, debian 12",
        f"  something else: of {again.task}, on n1, under bubblewrap, debian 13",
    ]
    [pair] = model.ask(queries.disagreements, "ada", office.done[0].fingerprint)
    assert (pair.earlier_output, pair.later_output) == (one.output, "something else")
    assert model.ask(queries.disagreements, "eve", office.done[0].fingerprint) == []


def test_explain_a_disagreement_with_what_came_too_late(model):
    office = model.office
    office.exits = lambda ready: {"output": f"attempt {ready.attempt}"}
    ends_too_late(office, "job-1")
    office.submit("ada", "job-2", spec("two"))
    office.run()
    explained = model.explained("ada", "job-2")
    assert "conflict" in [why.code for why in explained.why_executed]
    assert [(side.status, side.output) for side in explained.sides] == [("lost", "attempt 1"), ("done", "attempt 2")]


def test_explain_an_execution_whose_output_is_gone(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    is_missing(office, is_looked_at(office, "job-2", "two"))
    [why] = model.explained("ada", "job-2").why_executed
    assert why.code == "missing"
    assert why.text.endswith("blocks are gone from the store (block b+1 is not in the store)")


def test_explain_an_execution_that_failed(model):
    office = model.office
    office.exits = lambda ready: {"exit_code": 7, "failure": Failure.EXIT, "reason": "genome.fa is empty"}
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.submit("ada", "job-2", spec("two"))
    office.run()
    [why] = model.explained("ada", "job-2").why_executed
    assert (why.code, why.text.endswith(" failed (genome.fa is empty)")) == ("failed", True)


def test_explain_an_execution_that_runs_and_is_too_small_and_then_that_it_had_not_finished(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("ada", "job-2", spec("two", resources=Resources(cores=2)))
    office.settle()
    [why] = model.explained("ada", "job-2").why_executed
    assert why.code == "granted"
    office.run()
    [why] = model.explained("ada", "job-2").why_executed
    assert why.code == "not_finished"
    assert why.text.endswith("had not finished when this was decided, and was too small for it")


def test_explain_purity_lost_on_the_way(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("ada", "job-2", spec("two"))
    office.settle()
    [ready] = [r for r in office.read_work() if r.task]
    office.say(Topic.CLAIMS, c.PurityLost(fingerprint=ready.fingerprint, token=ready.token, access="/etc/passwd"))
    office.run()
    [why] = model.explained("ada", "job-2").why_executed
    assert why.code == "impure"
    assert why.text.endswith("turned out not to be pure (it read /etc/passwd)")
    [why] = model.explained("ada", "job-1").why_executed
    assert (why.code, why.text) == ("impure_access", "it turned out not to be pure: it read /etc/passwd")
    assert "two: no longer waiting on one" in "\n".join(model.told("ada", "job-2"))


def test_explain_an_execution_that_nothing_isolated(model):
    office = model.office
    office.may_read("ben", "ada")
    office.runner = lambda ready: "process"
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.submit("ben", "job-2", spec("two"))
    office.run()
    [why] = model.explained("ben", "job-2").why_executed
    assert why.code == "private"
    assert why.text.endswith("ran under the process runner, whose outputs are shared with nobody else")


def test_all_the_reasons_are_told(model):
    office = model.office
    office.submit("ada", "job-1", spec("one", is_pure=False, refresh=True, ineligible="inputs.a: a path\nimage: a tag"))
    office.run()
    whys = model.explained("ada", "job-1").why_executed
    assert [why.code for why in whys] == ["not_pure", "ineligible", "ineligible", "refresh"]
    assert whys[1].text.endswith("inputs.a: a path")
