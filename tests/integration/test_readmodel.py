"""What people are told, and what they are not."""

from contextlib import closing

import pytest

from consumers.projector import Projector
from readmodel import queries
from readmodel.connection import connect
from readmodel.explain import explain, sentences
from readmodel.story import job_log
from schemas import claims as c
from schemas.reasons import Failure
from schemas.tasks import TaskSubmitted
from schemas.topics import Topic
from tests.support.office import Office, spec


class Model:
    """An office and the read model of it. Questions are asked as a user, of what the office has in its log then."""

    def __init__(self, dsn):
        self.office = Office()
        for name in ("ada", "ben", "eve"):
            self.office.user(name)
        self.office.user("root", is_admin=True)
        self.office.settle()
        self.projector = Projector(self.office.log, dsn)
        self.connection = connect(dsn)

    def ask(self, question, *about, **more):
        self.projector.catch_up()
        return question(self.connection, *about, **more)

    def task(self, viewer, root, rank=0):
        return self.ask(queries.tree, viewer, root)[rank]

    def told(self, viewer, root):
        return [line.text for line in self.ask(job_log, viewer, root)]

    def explained(self, viewer, root, rank=0):
        return self.ask(explain, viewer, self.task(viewer, root, rank).task)

    def close(self):
        self.projector.close()
        self.connection.close()


@pytest.fixture
def model(dsn):
    with closing(Model(dsn)) as model:
        yield model


def with_children(*children):
    """What `Office.children` is to be: the first level queues these."""
    return lambda ready: list(children) if b'"sequence"' not in bytes(ready.spec) else []


def test_a_job_and_its_tree_in_tree_order(model):
    office = model.office
    office.children = with_children(spec("b", inputs="b", sequence=1), spec("c", inputs="c", sequence=1))
    office.submit("ada", "job-1", spec("split"))
    office.run()
    tree = model.ask(queries.tree, "ada", "job-1")
    assert [(task.name, task.depth, task.state, task.sequence) for task in tree] == [
        ("split", 0, "complete", 0),
        ("b", 1, "complete", 1),
        ("c", 1, "complete", 1),
    ]
    assert tree[1].created_by == tree[0].task
    assert model.ask(queries.outputs_in_tree_order, "job-1") == [task.output for task in tree]
    job = model.ask(queries.job, "ada", "job-1")
    assert (job.state, job.tasks, job.finished, job.copied) == ("assembling", 3, 3, 0)
    assert [(a.root, a.tasks) for a in model.ask(queries.assembling)] == [("job-1", 3)]


def test_children_come_before_later_siblings_of_their_parent(model):
    office = model.office
    below = {"b": [spec("b1", inputs="b1", sequence=2)], "c": [spec("c1", inputs="c1", sequence=2)]}

    def children(ready):
        if b'"split"' in bytes(ready.spec):
            return [spec("b", inputs="b", sequence=1), spec("c", inputs="c", sequence=1)]
        return next((queued for name, queued in below.items() if f'"name":"{name}"'.encode() in bytes(ready.spec)), [])

    office.children = children
    office.submit("ada", "job-1", spec("split"))
    office.run()
    assert [task.name for task in model.ask(queries.tree, "ada", "job-1")] == ["split", "b", "b1", "c", "c1"]


def test_times_are_those_of_the_log_and_a_copy_has_its_sources_beside_them(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.submit("ada", "job-2", spec("two"))
    office.run()
    first, copy = model.task("ada", "job-1"), model.task("ada", "job-2")
    assert first.created_at <= first.started_at <= first.finished_at
    assert first.saved == 0
    assert copy.created_at > first.finished_at
    assert copy.started_at == copy.finished_at >= copy.created_at
    assert (copy.source_started_at, copy.source_finished_at) == (1_600_000_000_000, 1_600_000_002_000)
    assert copy.saved == 2_000
    counted = model.ask(queries.counts, "ada")
    assert (counted.complete, counted.copied, counted.started, counted.saved, counted.spent) == (1, 1, 1, 2_000, 2_000)
    assert model.ask(queries.counts, "ada", "job-2").started == 0


def test_the_answer_of_a_command(model):
    place = model.office.submit("ada", "job-1", spec())
    assert model.ask(queries.answer, *place) is None
    model.office.settle()
    assert model.ask(queries.answer, *place).outcome == "done"
    again = model.office.submit("ada", "job-1", spec())
    model.office.settle()
    answer = model.ask(queries.answer, *again)
    assert (answer.outcome, answer.reason, answer.about) == ("nothing", "already", "job-1")


# --- Who may see what -------------------------------------------------------------------------------------------------


def test_what_may_not_be_seen_looks_like_what_is_not_there(model):
    model.office.submit("ada", "job-1", spec("secret"))
    model.office.run()
    task = model.task("ada", "job-1")
    for viewer in ("eve", "nobody"):
        assert model.ask(queries.jobs, viewer) == []
        assert model.ask(queries.job, viewer, "job-1") == model.ask(queries.job, viewer, "no-job") is None
        assert model.ask(queries.tree, viewer, "job-1") == []
        assert model.ask(queries.task, viewer, task.task) is None
        assert model.ask(queries.execution, viewer, task.token) is None
        assert model.ask(queries.executions_of, viewer, task.fingerprint) == []
        assert model.ask(explain, viewer, task.task) is None
        assert model.ask(job_log, viewer, "job-1") == []
        assert model.ask(queries.counts, viewer) == model.ask(queries.counts, viewer, "no-job")
    assert model.ask(queries.execution, "ada", task.token).owner == "ada"


def test_an_admin_and_a_reader_see_it(model):
    model.office.may_read("ben", "ada")
    model.office.submit("ada", "job-1", spec())
    model.office.run()
    for viewer in ("root", "ben"):
        assert [job.root for job in model.ask(queries.jobs, viewer)] == ["job-1"]
    model.office.may_not_read("ben", "ada")
    model.office.settle()
    assert model.ask(queries.jobs, "ben") == []


def test_a_reference_goes_stale_when_the_source_may_not_be_seen_any_more(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.submit("ben", "job-2", spec("two"))
    office.run()
    source = model.task("ada", "job-1")
    assert model.task("ben", "job-2").reused_from.task == source.task
    assert f"two: copied output from one ({source.task})" in model.told("ben", "job-2")
    office.may_not_read("ben", "ada")
    office.settle()
    assert model.task("ben", "job-2").reused_from is None
    assert "two: copied output from an earlier execution" in model.told("ben", "job-2")


def test_who_holds_only_a_copy_is_not_told_whose_execution_it_was(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.submit("ben", "job-2", spec("two"))
    office.run()
    office.may_not_read("ben", "ada")
    office.settle()
    copy = model.task("ben", "job-2")
    execution = model.ask(queries.execution, "ben", copy.token)
    assert (execution.owner, execution.task, execution.root, execution.node) == (None, None, None, None)
    assert execution.output == copy.output


def test_a_task_of_the_same_uuid_in_another_job_disturbs_nothing(model):
    office = model.office
    office.submit("ada", "job-1", spec("mine"))
    office.run()
    mine = model.task("ada", "job-1")
    office.submit("eve", "job-2", spec("hers", inputs="z"))
    office.say(Topic.TASKS, TaskSubmitted(root="job-2", task=mine.task, spec=spec("squatter", inputs="y")))
    office.run()
    assert model.task("ada", "job-1") == mine
    assert model.ask(queries.task, "ada", mine.task).root == "job-1"
    assert model.ask(queries.task, "eve", mine.task).root == "job-2"


# --- Waiting ----------------------------------------------------------------------------------------------------------


def test_who_waits_on_whom_and_since_when(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("ben", "job-2", spec("two"))
    office.settle()
    [waiting] = model.ask(queries.waiting, "ben")
    assert (waiting.name, waiting.on.name, waiting.kind) == ("two", "one", "execution")
    assert model.task("ben", "job-2").waiting_since == waiting.since
    assert model.explained("ben", "job-2").how == "waiting"
    assert any(line.startswith("two: waiting on one (") for line in model.told("ben", "job-2"))
    office.may_not_read("ben", "ada")
    office.settle()
    assert model.ask(queries.waiting, "ben")[0].on is None
    assert "two: waiting on another task" in model.told("ben", "job-2")
    office.run()
    assert model.ask(queries.waiting, "ben") == []
    assert model.task("ben", "job-2").waiting_on is None


# --- The job's log ----------------------------------------------------------------------------------------------------


def test_a_copy_says_what_it_copied_and_queued(model):
    office = model.office
    office.children = with_children(*(spec(f"child {n}", inputs=f"c{n}", sequence=1) for n in range(3)))
    office.submit("ada", "job-1", spec("one"))
    office.run()
    office.submit("ada", "job-2", spec("two"))
    office.run()
    source = model.task("ada", "job-1").task
    told = model.told("ada", "job-2")
    assert told[0] == "job queued"
    assert f"two: copied output from one ({source}) and queued 3 tasks" in told
    assert told[-1] == "job assembling"
    lines = model.ask(job_log, "ada", "job-2")
    assert model.ask(job_log, "ada", "job-2", after=lines[3].position) == lines[4:]
    assert {line.task for line in model.ask(job_log, "ada", "job-2", task=lines[1].task)} == {lines[1].task}


def test_failures_are_told_with_their_reason(model):
    office = model.office
    office.exits = lambda ready: {"exit_code": 7, "failure": Failure.EXIT, "reason": "genome.fa is empty"}
    office.submit("ada", "job-1", spec("align"))
    office.run()
    office.assembled("job-1", "partial")
    office.settle()
    assert "align: failed: genome.fa is empty" in model.told("ada", "job-1")
    assert model.told("ada", "job-1")[-1] == "job failed: permanent failure"
    job = model.ask(queries.job, "ada", "job-1")
    assert (job.state, job.reason, job.output) == ("failed", "permanent_failure", "partial")
    assert job.failed_task == model.task("ada", "job-1").task


# --- Explain ----------------------------------------------------------------------------------------------------------


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
