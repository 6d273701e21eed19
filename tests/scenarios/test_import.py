"""History of another system: it ends here as it ended there, and what it made is given like anything else."""

import msgspec
import pytest

from coordinator.ids import first_task_uuid
from coordinator.jobs import Jobs
from schemas import facts as f
from schemas import tasks as t
from schemas.claims import Imported, Invalidated
from schemas.fields import MAX_SPEC_BYTES
from schemas.reasons import Outcome, Reason
from schemas.settings import PureAssumed
from schemas.spec import JobParameter, JobSpec
from schemas.topics import Topic
from streams import audit
from streams.state import state_hash
from tests.support.audits import WITH_STAND_INS
from tests.support.office import Office, digest, machine_types, spec

ADA, BEN = "ada", "ben"


class Town(Office):
    """An office that takes over history."""

    def past(self, root, *tasks, owner=ADA, state="complete", parameters=None, count=None, request="there"):
        bound = {
            name: JobParameter(value=msgspec.Raw(msgspec.json.encode(value)), digest=digest(value))
            for name, value in (parameters or {}).items()
        }
        job = t.JobImported(
            root=root,
            owner=owner,
            request=request,
            spec=JobSpec(task=spec("first"), parameters=bound),
            state=state,
            tasks=len(tasks) if count is None else count,
            output="joined",
            created_at=1_000,
            started_at=1_500,
            finished_at=9_000,
        )
        for record in (job, *tasks):
            self.say(Topic.TASKS, record)
        self.run()

    def facts_of(self, kind, **fields):
        facts = [fact for number in self.facts().values() for fact in number if isinstance(fact, kind)]
        return [fact for fact in facts if all(getattr(fact, name) == value for name, value in fields.items())]

    def states(self, root):
        return [fact.state for fact in self.facts_of(f.JobChanged, root=root)]

    def ends(self, task):
        return [fact.state for fact in self.facts_of(f.TaskChanged, task=task)]

    def is_right(self):
        report = audit.verify(
            self.log, machine_types({topic: self.log.partitions(topic) for topic in Topic}), checkers=WITH_STAND_INS
        )
        assert [difference.text for difference in report.differences] == []
        return True


def task(name, root="old-1", state="complete", output="out", created_by="", **fields):
    described = fields.pop("spec", None) or spec(name, inputs=name, **fields)
    times = {"created_at": 1_100, "started_at": 2_000, "finished_at": 3_000}
    return t.TaskImported(
        root=root, task=f"{root}-{name}", created_by=created_by, spec=described, state=state, output=output, **times
    )


@pytest.fixture
def town():
    made = Town()
    for name in (ADA, BEN):
        made.user(name)
    made.settle()
    return made


def test_history_ends_here_as_it_ended_there_and_runs_nothing(town):
    town.past("old-1", task("a"), task("b", state="failed", output=""), task("c", state="cancelled"), state="failed")
    assert town.states("old-1") == ["importing", "failed"]
    assert [town.ends(f"old-1-{name}") for name in "abc"] == [
        ["todo", "claimed", "complete"],
        ["todo", "failed"],
        ["todo", "cancelled"],
    ]
    [end] = town.facts_of(f.JobChanged, root="old-1", state="failed")
    assert (end.output, end.task, end.at, end.started_at) == ("joined", "old-1-b", 9_000, 1_500)
    [done] = town.facts_of(f.TaskChanged, task="old-1-a", state="complete")
    assert (done.at, done.started_at, done.output) == (3_000, 2_000, "out")
    assert town.read_work() == []
    assert town.is_right()


def test_what_it_made_is_given_to_who_may_see_it_and_to_nobody_else(town):
    town.past("old-1", task("a"))
    town.submit(ADA, "new-1", spec("again", inputs="a"))
    town.submit(BEN, "new-2", spec("again", inputs="a"))
    town.run()
    assert town.ends(first_task_uuid("new-1"))[-1] == "copied"
    assert town.ends(first_task_uuid("new-2"))[-1] == "complete"
    [copy] = town.facts_of(f.TaskChanged, task=first_task_uuid("new-1"), state="copied")
    assert (copy.source, copy.output, copy.started_at, copy.finished_at) == ("old-1-a", "out", 2_000, 3_000)
    assert town.is_right()


def test_a_copy_queues_anew_what_the_imported_task_had_queued(town):
    first = task("first")
    town.past("old-1", first, task("left", created_by=first.task), task("right", created_by=first.task))
    town.submit(ADA, "new-1", spec("again", inputs="first"))
    town.run()
    created = town.facts_of(f.TaskChanged, root="new-1", state="copied")
    assert len(created) == 3
    assert not town.read_work()
    assert {fact.source for fact in created} == {"old-1-first", "old-1-left", "old-1-right"}
    assert town.is_right()


@pytest.mark.parametrize("fields", [{"is_pure": False}, {"ineligible": "image: nobody knows it"}, {"no_reuse": True}])
def test_what_is_not_known_to_be_pure_is_history_and_no_more(town, fields):
    town.past("old-1", task("a", **fields))
    town.submit(ADA, "new-1", spec("again", inputs="a"))
    town.run()
    assert town.ends("old-1-a")[-1] == "complete"
    assert town.ends(first_task_uuid("new-1"))[-1] == "complete"
    [described] = town.facts_of(f.TaskChanged, task="old-1-a", state="todo")
    assert described.ineligible == fields.get("ineligible", "")
    assert town.is_right()


def test_a_script_that_is_assumed_pure_was_so_before_too(town):
    declared = {"repository": "lab", "script": "hash.py"}
    town.say(Topic.SETTINGS, PureAssumed(**declared, commits=("c1",)), 0)
    town.settle()
    old = msgspec.structs.replace(spec("old", is_pure=False, commit="c1", repository="lab"), script="hash.py")
    town.past("old-1", task("a", spec=old), parameters={"genome": "hg19"})
    town.submit(ADA, "new-1", old, {"genome": "hg19"})
    town.submit(ADA, "new-2", old, {"genome": "hg38"})
    town.run()
    assert town.ends(first_task_uuid("new-1"))[-1] == "copied"
    assert town.ends(first_task_uuid("new-2"))[-1] == "complete"
    assert town.is_right()


def test_imports_that_disagree_are_a_conflict_until_somebody_decides(town):
    town.past("old-1", task("a", output="one"))
    town.past("old-2", task("a", root="old-2", output="two"))
    [conflict] = town.facts_of(f.Disagreed)
    assert conflict.outputs == ("one", "two")
    town.submit(ADA, "new-1", spec("again", inputs="a"))
    town.run()
    assert [fact.why for fact in town.facts_of(f.Granted, root="new-1")] == ["conflict"]
    town.say(Topic.CLAIMS, Invalidated(fingerprint=conflict.fingerprint, keep=conflict.tokens[0]))
    town.submit(ADA, "new-2", spec("again", inputs="a"))
    town.run()
    [copy] = town.facts_of(f.TaskChanged, root="new-2", state="copied")
    assert copy.output == "one"
    assert town.is_right()


@pytest.mark.parametrize("state", ["complete", "failed", "cancelled"])
def test_what_an_earlier_release_kept_of_history_is_what_a_replay_comes_to(town, state):
    town.past("old-1", task("a", state=state, output=""), state=state)
    [now] = [runner.machine for runner in town.runners if "old-1" in getattr(runner.machine, "rows", ())]
    kept = msgspec.json.decode(now.snapshot())
    del kept["trees"]["old-1"]["is_logged"]  # which that release did not know
    assert state_hash(Jobs.restore(msgspec.json.encode(kept))) == state_hash(now)


def test_the_same_again_changes_nothing(town):
    records = [task("a"), task("b")]
    town.past("old-1", *records)
    facts = len(town.facts_of(f.TaskChanged))
    town.past("old-1", *records)
    assert len(town.facts_of(f.TaskChanged)) == facts
    assert town.states("old-1") == ["importing", "complete"]
    assert [fact.reason for fact in town.facts_of(f.Answered, outcome=Outcome.NOTHING)] == [Reason.ALREADY] * 3
    assert town.is_right()


def test_an_import_that_was_interrupted_goes_on_where_it_was(town):
    town.past("old-1", task("a"), count=2)
    assert town.states("old-1") == ["importing"]
    town.submit(ADA, "new-1", spec("again", inputs="a"))
    town.run()
    assert town.ends(first_task_uuid("new-1"))[-1] == "complete", "it waited for a history that may never be whole"
    town.past("old-1", task("a"), task("b"))
    assert town.states("old-1") == ["importing", "complete"]
    assert town.is_right()


def test_a_half_done_import_whose_source_has_changed_says_so(town):
    town.past("old-1", task("a"), count=3)
    town.past("old-1", task("a"), task("b"))
    [told] = town.facts_of(f.Answered, outcome=Outcome.REFUSED)
    assert told.reason is Reason.UUID_TAKEN
    assert told.detail == (
        "its import began with 3 tasks, and its source has 2 now, so it will not end: cancel the job"
    )
    town.past("old-1", task("a"), task("b"), task("c"))
    town.past("old-1", task("a"), task("b"))
    assert town.states("old-1") == ["importing", "complete"]
    assert len(town.facts_of(f.Answered, outcome=Outcome.REFUSED)) == 1, "what has ended needs no more tasks"
    assert town.is_right()


def test_an_import_that_is_given_up_is_cancelled(town):
    town.past("old-1", task("a"), count=2)
    town.cancel("old-1")
    town.run()
    town.say(Topic.TASKS, task("b"))
    town.run()
    assert town.states("old-1") == ["importing", "cancelled"]
    assert [a.reason for a in town.facts_of(f.Answered, outcome=Outcome.REFUSED)] == [Reason.FINISHED]
    assert town.is_right()


def test_a_job_without_tasks_ends_at_once(town):
    town.past("old-1", state="cancelled")
    assert town.states("old-1") == ["importing", "cancelled"]
    assert town.is_right()


def test_what_does_not_belong_to_an_import_is_refused(town):
    town.submit(ADA, "new-1", spec("new"))
    town.settle()
    town.past("new-1", task("a", root="new-1"), request="another")
    town.past("old-1", task("a"), task("b"), count=1)
    town.number("max_tasks", 1)
    town.settle()
    town.past("old-2", count=2)
    reasons = sorted(answer.reason for answer in town.facts_of(f.Answered, outcome=Outcome.REFUSED))
    assert reasons == sorted([Reason.UUID_TAKEN, Reason.FINISHED, Reason.FINISHED, Reason.TOO_MANY_TASKS])
    assert town.is_right()


def test_a_task_that_names_a_parameter_its_job_never_had_is_shared_with_nobody(town):
    town.past("old-1", task("a", job_parameters=("genome",)))
    [claimed] = town.facts_of(f.TaskChanged, task="old-1-a", state="claimed")
    assert claimed.fingerprint == "impure:old-1-a"
    assert town.is_right()


def test_children_that_no_record_could_hold_make_their_task_history_alone(town):
    first = task("first")
    large = "x" * (MAX_SPEC_BYTES // 3)
    children = [task(str(n), created_by=first.task, command=(large,)) for n in range(3)]
    town.past("old-1", first, *children)
    [claimed] = town.facts_of(f.TaskChanged, task=first.task, state="claimed")
    assert claimed.fingerprint == f"impure:{first.task}"
    assert claimed.ineligible.startswith("children: ")
    assert town.states("old-1")[-1] == "complete"
    assert town.is_right()


def test_purity_taken_back_from_history_ends_the_entry(town):
    town.past("old-1", task("a"))
    town.say(Topic.TASKS, t.PurityTakenBack(root="old-1", task="old-1-a"))
    town.run()
    town.submit(ADA, "new-1", spec("again", inputs="a"))
    town.run()
    assert town.ends(first_task_uuid("new-1"))[-1] == "complete"
    assert town.is_right()


def test_an_entry_that_nobody_imported_is_seen_by_the_audit(town):
    """The claims machine's record is not for others to write."""
    town.say(Topic.CLAIMS, Imported(fingerprint="f" * 64, task="x", root="old-9", owner=ADA, output="forged"))
    town.run()
    report = audit.verify(town.log, machine_types({topic: town.log.partitions(topic) for topic in Topic}))
    assert {"claims", "tasks"} >= {difference.place.partition("/")[0] for difference in report.differences}
    assert report.wrong >= 2, "who wrote it, and what its fingerprint is made of"
