"""Why a task ran or was given its output, as far as the asker may know."""

import msgspec
import pytest

from coordinator.taskspec import build
from readmodel import queries, registry
from readmodel.explain import compare, explain, with_signs_of_life
from readmodel.telling import comparison, sentences
from schemas import claims as c
from schemas.reasons import Failure
from schemas.topics import Topic
from tests.support.catalogue import COMMIT, IMAGE, NEWER, READS, Catalogue
from tests.support.model import with_children
from tests.support.office import spec


def test_explain_a_copy(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.submit("ada", "job-2", spec("two"))
    office.run()
    explained = model.explained("ada", "job-2")
    assert (explained.how, explained.waited, explained.source.name) == ("reused", True, "one")
    [line] = sentences(explained)
    assert line.startswith(
        f"two waited on it and was then given the output of one ({explained.source.task}) of ada, at "
    )
    assert line.endswith(" (rules version 1)")


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
    [nearest] = explained.nearest
    assert (nearest.task.name, nearest.task.owner, nearest.components) == ("near", "ada", ("inputs",))
    assert sentences(explained)[-2].endswith("of ada: it differs in inputs")
    office.submit("ada", "job-5", spec("mine", inputs="x", job_parameters=("genome",)), {"genome": "hg38"})
    office.run()
    [other] = [near for near in model.explained("ada", "job-5").nearest if near.components == ("job_parameters",)]
    assert [(one.path, one.mine) for one in other.different] == [("genome", '"hg38"')]


def test_explain_does_not_tell_of_what_may_not_be_seen(model):
    office = model.office
    office.submit("ada", "job-1", spec("same"))
    office.submit("ada", "job-2", spec("near", inputs="x"))
    office.run()
    office.submit("eve", "job-3", spec("mine"))
    office.run()
    explained = model.explained("eve", "job-3")
    assert [why.code for why in explained.why_executed] == ["none_earlier"]
    assert (explained.earlier, explained.nearest) == ((), ())


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
    assert sentences(model.explained("ada", "job-2"))[0].startswith(f"two waits on one ({one}) of ada, since ")
    assert "not started yet" in sentences(model.explained("ada", "job-2"))[1]
    office.cancel("job-2")
    office.settle()
    assert sentences(model.explained("ada", "job-2")) == ["two was cancelled: cancelled"]


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


def test_a_task_that_never_ran_was_refused(model):
    office = model.office
    office.submit("ada", "job-1", spec("one", job_parameters=("genome",)))
    office.run()
    explained = model.explained("ada", "job-1")
    assert (explained.how, explained.why_executed) == ("refused", ())
    assert sentences(explained) == [
        "one was refused an execution: job_parameters names `genome`, which the job does not have"
    ]


def test_the_rules_that_decided_are_named(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    model.ask(queries.numbers)
    model.connection.execute(
        "insert into rm.rules (version, since) values (2, 1 + (select max(finished_at) from rm.job_tasks))"
    )
    office.submit("ada", "job-2", spec("two"))
    office.run()
    assert (model.explained("ada", "job-1").rules, model.explained("ada", "job-2").rules) == (1, 2)


# --- Each component ---------------------------------------------------------------------------------------------------

OTHER_READS = "c" * 32 + "+99"
CATALOGUE = Catalogue(inputs={OTHER_READS: OTHER_READS})
TASK = {
    "script": "count.py",
    "command": ["--k", "21"],
    "repository": "genomics",
    "commit": "main",
    "image": "python:3.11",
    "parameters": {"k": 21, "deep": {"list": [1, {"x": None}]}},
    "inputs": {"reads": READS},
    "outputs": ["counts.tsv"],
    "is_pure": True,
    "job_parameters": ["genome"],
}
MUTATIONS = [
    ({"commit": "next"}, "commit", [("commit", NEWER, COMMIT)]),
    ({"script": "sum.py"}, "script", [("script", "sum.py", "count.py")]),
    ({"command": ["--k", "31"]}, "script", [("command[1]", "31", "21")]),
    ({"children": "forbid"}, "script", [("children", "forbid", "allow")]),
    ({"image": ""}, "image", [("image", "", IMAGE)]),
    ({"parameters": {"k": 21.5, "deep": {"list": [1, {"x": None}]}}}, "parameters", [("k", 21.5, 21)]),
    ({"parameters": {"k": 21, "deep": {"list": [1, {"x": 0}]}}}, "parameters", [("deep.list[1].x", 0, None)]),
    ({"parameters": {"k": 21, "deep": {"list": [1]}}}, "parameters", [("deep.list[1]", ..., {"x": None})]),
    ({"inputs": {"reads": OTHER_READS}}, "inputs", [("reads", OTHER_READS, READS)]),
    ({"inputs": {"reads": READS, "more": READS}}, "inputs", [("more", READS, ...)]),
    ({"outputs": ["counts.tsv", "log.txt"]}, "outputs", [("log.txt", True, ...)]),
    ({"genome": "hg38"}, "job_parameters", [("genome", "hg38", "hg19")]),
]


def shown(value):
    return None if value is ... else msgspec.json.encode(value, order="sorted").decode()


def submit_real(office, root, changes):
    described = {**TASK, **changes}
    genome = described.pop("genome", "hg19")
    office.submit("ada", root, build(described, resolver=CATALOGUE), {"genome": genome})
    office.run()


@pytest.mark.parametrize(("changes", "component", "different"), MUTATIONS)
def test_of_one_changed_component_explain_names_that_and_nothing_else(model, changes, component, different):
    submit_real(model.office, "job-0", {"script": "other.py", "commit": "next", "inputs": {}, "genome": "mm10"})
    submit_real(model.office, "job-1", {})
    submit_real(model.office, "job-2", changes)
    explained = model.explained("ada", "job-2")
    assert [why.code for why in explained.why_executed] == ["none_earlier"]
    [nearest] = explained.nearest
    assert (nearest.task.root, nearest.components) == ("job-1", (component,))
    assert [(one.path, one.mine, one.other) for one in nearest.different] == [
        (path, shown(mine), shown(other)) for path, mine, other in different
    ]
    assert len(sentences(explained)) == 3 + len(different)


def test_each_component_has_its_own_nearest_the_newest_of_those_that_differ_in_it_alone(model):
    for rank, genome in enumerate(("hg17", "hg18")):
        submit_real(model.office, f"job-{rank}", {"genome": genome})
    submit_real(model.office, "job-2", {"outputs": []})
    submit_real(model.office, "job-3", {})
    nearest = model.explained("ada", "job-3").nearest
    assert [(near.task.root, near.components) for near in nearest] == [
        ("job-2", ("outputs",)),
        ("job-1", ("job_parameters",)),
    ]


def test_what_differs_in_more_is_named_where_nothing_differs_in_less(model):
    submit_real(model.office, "job-1", {"commit": "next", "genome": "hg18"})
    submit_real(model.office, "job-2", {"commit": "next", "genome": "hg18", "outputs": []})
    submit_real(model.office, "job-3", {})
    nearest = model.explained("ada", "job-3").nearest
    assert [near.components for near in nearest] == [
        ("commit", "job_parameters"),
        ("commit", "outputs", "job_parameters"),
    ]


def test_two_tasks_side_by_side(model):
    submit_real(model.office, "job-1", {})
    submit_real(model.office, "job-2", {"commit": "next"})
    submit_real(model.office, "job-3", {"name": "count", "resources": {"memory": "1GiB"}})
    one, two, three = (model.task("ada", root).task for root in ("job-1", "job-2", "job-3"))
    said = comparison(model.ask(compare, "ada", one, two))
    assert said == [f"{one} and {two} differ in:", f'  commit: commit: "{COMMIT}" here, "{NEWER}" there']
    assert "are the same work" in comparison(model.ask(compare, "ada", one, three))[0]
    assert model.ask(compare, "eve", one, two) is model.ask(compare, "ada", one, "no-task") is None


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_waiting_looks_like_waiting(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-0", spec("earlier", inputs="z"))
    office.run()
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("eve", "job-2", spec("unseen"))
    office.submit("ada", "job-3", spec("mine"))
    office.submit("ben", "job-4", spec("bens"))
    office.settle()
    [ready] = [ready for ready in office.read_work() if ready.root == "job-1"]
    office.say(Topic.CLAIMS, c.Started(fingerprint=ready.fingerprint, token=ready.token, node="n1", incarnation="i0"))
    office.settle()
    wait = model.explained("ben", "job-4").waiting
    assert (wait.owner, wait.status, wait.node, wait.position, wait.takes) == ("ada", "running", "n1", 2, 2_000)
    assert model.explained("ada", "job-3").waiting.position == 1
    line = sentences(model.explained("ben", "job-4"))[-1]
    assert line.startswith("it is ada's, running, on n1 since ")
    assert line.endswith("number 2 of those that wait and that you can see, earlier runs of this program took 2.0 s")
    moments = {"n1": wait.running_at + 5_000}
    alive = with_signs_of_life(model.explained("ben", "job-4"), moments.get)
    assert alive.waiting.alive_at == moments["n1"]
    assert "on n1 since" in sentences(alive)[-1].split(", whose last sign of life was at ")[0]
    assert with_signs_of_life(model.explained("ada", "job-1"), moments.get).waiting is None
    office.may_not_read("ben", "ada")
    office.settle()
    told = model.explained("ben", "job-4")
    assert (told.how, told.waiting, told.source) == ("waiting", None, None)
