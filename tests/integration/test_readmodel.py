"""What people are told, and what they are not."""

from coordinator import claims_decide
from gateway import doctor
from readmodel import batch, queries
from readmodel.explain import explain
from readmodel.story import job_log
from schemas.reasons import Failure
from schemas.tasks import JobPrioritised, TaskSubmitted
from schemas.topics import Topic
from tests.support.model import with_children
from tests.support.office import spec


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
    assert [one.output for one in model.ask(queries.left_in_tree_order, "job-1")] == [task.output for task in tree]
    assert model.ask(queries.left_in_tree_order, "job-2") == []
    job = model.ask(queries.job, "ada", "job-1")
    assert (job.state, job.tasks, job.finished, job.copied) == ("assembling", 3, 3, 0)
    assert [(a.root, a.tasks) for a in model.ask(queries.assembling)] == [("job-1", 3)]


def test_a_priority_that_was_changed_is_the_jobs_and_its_log_says_so(model):
    office = model.office
    office.submit("ada", "job-1", spec("one", priority=2))
    for priority in (7, -1):
        office.say(Topic.TASKS, JobPrioritised(root="job-1", priority=priority))
    office.settle()
    told = model.told("ada", "job-1")
    assert [line for line in told if "priority" in line] == ["job has priority 7 now", "job has priority -1 now"]
    rows = model.connection.execute(b"select priority from rm.jobs where root = 'job-1'")
    assert [row[0] for row in rows] == [-1]


def test_every_statement_names_the_row_that_it_writes():
    assert batch.ROWS.keys() == batch.SQL.keys()


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
    tree = model.ask(queries.tree, "ada", "job-1")
    assert [task.name for task in tree] == ["split", "b", "b1", "c", "c1"]
    assert [one.output for one in model.ask(queries.left_in_tree_order, "job-1")] == [task.output for task in tree]


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


def test_settings_are_there_to_be_read(model):
    model.office.number("max_attempts", 5)
    model.office.settle()
    assert model.ask(queries.numbers) == {"max_attempts": 5}
    ada = model.ask(queries.user_named, "ada")
    assert (ada.uuid, ada.is_admin, ada.is_active) == ("ada", False, True)
    assert model.ask(queries.user_named, "nobody") is None
    assert [user.name for user in model.ask(queries.users)] == ["ada", "ben", "eve", "root"]


def test_an_alert_is_kept_and_doctor_says_so(model, monkeypatch):
    assert model.ask(queries.doubled) == (0, None)
    assert doctor.nothing_twice(0, None).status == "ok"
    monkeypatch.setattr(claims_decide, "can_wait", lambda _execution, _want: False)
    for root in ("job-1", "job-2", "job-3"):
        model.office.submit("ada", root, spec("same"))
    model.office.settle()
    number, latest = model.ask(queries.doubled)
    assert number == 2
    found = doctor.nothing_twice(number, latest)
    assert found.status == "problem"
    assert "2 executions were granted although another would have done, the last one at " in found.detail
