"""Why a task ran or was given its output, as far as the asker may know."""

import pytest

from readmodel import queries, registry
from readmodel.explain import explain, sentences
from schemas import claims as c
from schemas.reasons import Failure
from schemas.topics import Topic
from tests.support.model import with_children
from tests.support.office import spec


def test_explain_a_copy(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.submit("ada", "job-2", spec("two"))
    office.run()
    explained = model.explained("ada", "job-2")
    assert (explained.how, explained.waited, explained.source.name) == ("reused", True, "one")
    assert sentences(explained) == [f"two waited on it and was then given the output of one ({explained.source.task})"]


def test_explain_the_nearest_earlier_execution(model):
    office = model.office
    office.submit("ada", "job-1", spec("far", inputs="x", parameters="x", script="other"))
    office.submit("ada", "job-2", spec("near", inputs="x"))
    office.submit("ada", "job-3", spec("early", inputs="x", job_parameters=("genome",)), {"genome": "hg19"})
    office.run()
    office.submit("ada", "job-4", spec("mine"))
    office.run()
    explained = model.explained("ada", "job-4")
    assert (explained.how, [why.code for why in explained.why_executed]) == ("executed", ["none_earlier"])
    assert explained.nearest.task.name == "near"
    assert explained.nearest.different == ("inputs",)
    assert "commit" in explained.nearest.same
    assert sentences(explained)[-1].endswith("it differs in inputs")
    office.submit("ada", "job-5", spec("mine", inputs="x", job_parameters=("genome",)), {"genome": "hg38"})
    office.run()
    assert model.explained("ada", "job-5").nearest.different == ("job parameter genome",)


def test_explain_does_not_tell_of_what_may_not_be_seen(model):
    office = model.office
    office.submit("ada", "job-1", spec("same"))
    office.submit("ada", "job-2", spec("near", inputs="x"))
    office.run()
    office.submit("eve", "job-3", spec("mine"))
    office.run()
    explained = model.explained("eve", "job-3")
    assert [why.code for why in explained.why_executed] == ["none_earlier"]
    assert (explained.earlier, explained.nearest) == ((), None)


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


def test_explain_an_entry_that_lost_its_output(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.say(Topic.CLAIMS, c.Invalidated(fingerprint=office.done[0].fingerprint, reason="wrong reference"))
    office.submit("ada", "job-2", spec("two"))
    office.run()
    explained = model.explained("ada", "job-2")
    assert [why.code for why in explained.why_executed] == ["invalidated"]
    assert "declared wrong by an operator (wrong reference)" in explained.why_executed[0].text


def test_explain_a_disagreement_and_show_both_sides(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.exits = lambda ready: {"output": "something else"}
    office.submit("ada", "job-2", spec("again", refresh=True))
    office.run()
    office.submit("ada", "job-3", spec("three"))
    office.run()
    assert "conflict" in [why.code for why in model.explained("ada", "job-3").why_executed]
    pair, _ = model.ask(queries.disagreements, "ada", office.done[0].fingerprint)
    assert (pair.earlier_output, pair.later_output) == (model.task("ada", "job-1").output, "something else")
    assert model.ask(queries.disagreements, "eve", office.done[0].fingerprint) == []


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
    assert "not to be pure" in why.text
    assert "two: no longer waiting on one" in "\n".join(model.told("ada", "job-2"))


def test_nobody_explains_what_is_not_there(model):
    assert model.ask(explain, "root", "no-task") is None


def test_explain_what_has_not_come_to_an_end(model):
    office = model.office
    office.children = with_children(spec("later", inputs="later", sequence=1))
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    assert sentences(model.explained("ada", "job-1"))[0] == "one is granted an execution, which has not started"
    office.submit("ada", "job-2", spec("two"))
    office.settle()
    one = model.task("ada", "job-1").task
    assert sentences(model.explained("ada", "job-2")) == [f"two waits on one ({one})"]
    office.cancel("job-2")
    office.settle()
    assert sentences(model.explained("ada", "job-2")) == ["two cancelled: cancelled"]


def test_explain_a_failure(model):
    office = model.office
    office.exits = lambda ready: {"exit_code": 7, "failure": Failure.EXIT, "reason": "genome.fa is empty"}
    office.submit("ada", "job-1", spec("align"))
    office.run()
    explained = model.explained("ada", "job-1")
    assert sentences(explained)[0] == "align failed: genome.fa is empty"
    assert [why.code for why in explained.why_executed] == ["none_earlier"]


def test_a_task_that_took_an_execution_over_says_so(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("ben", "job-2", spec("two"))
    office.settle()
    office.cancel("job-1")
    office.run()
    explained = model.explained("ben", "job-2")
    assert explained.how == "executed"
    assert model.ask(queries.execution, "ben", explained.task.token).owner == "ben"
    assert "two: took over the execution it had waited on" in model.told("ben", "job-2")


def test_an_execution_that_was_taken_over_keeps_the_credentials_that_it_was_granted_with(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("ben", "job-2", spec("two"))
    office.settle()
    task = model.task("ada", "job-1")
    office.cancel("job-1")
    office.settle()
    [execution] = model.ask(queries.executions_of, "ben", task.fingerprint)
    assert execution.owner == "ben"
    row = model.ask(registry.execution, "job-1", task.task, execution.token)
    assert row["grantee"] == "ada"


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
