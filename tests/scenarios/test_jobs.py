"""A job's tree: levels, parameters, failures, cancels, purity; jobs and claims machine talking to each other."""

from collections import deque
from typing import Any

import msgspec
import pytest

from coordinator.claims import Claims
from coordinator.ids import first_task_uuid
from coordinator.jobs import Jobs
from coordinator.lifecycle import FINAL
from schemas import claims as c
from schemas import tasks as t
from schemas.facts import JobChanged, TaskChanged
from schemas.reasons import Outcome, Reason
from schemas.settings import ConfigSet, Forwarded, PureAssumed
from schemas.spec import JobParameter, JobSpec
from schemas.topics import Topic
from schemas.work import Cancelled, Ready
from tests.support import mutations
from tests.support.given import Given
from tests.support.scene import digest, task_spec


class House:
    """The jobs and the claims machine, each output carried at once to the one that reads it."""

    def __init__(self) -> None:
        self.jobs, self.claims = Given(Jobs()), Given(Claims(), log_id="claims")
        self.ready: dict[str, Ready] = {}
        self.task_states: dict[str, list[str]] = {}
        self.job_states: dict[str, list[str]] = {}
        self.bound: dict[str, Any] = {}
        self.requested: list[c.Requested] = []
        self.cancelled: list[str] = []
        self.facts: list[Any] = []

    def tell(self, *bodies: Any) -> "House":
        queue = deque(bodies)
        while queue:
            body = queue.popleft()
            machine = (
                self.claims if isinstance(body, c.ClaimRecord) and not isinstance(body, t.TaskRecord) else self.jobs
            )
            machine.when(body)
            for output in machine.outputs:
                if output.topic in (Topic.CLAIMS, Topic.TASKS):
                    queue.append(output.body)
                self._note(output.body)
        return self

    def _note(self, body: Any) -> None:
        if isinstance(body, Ready):
            self.ready[body.task] = body
        elif isinstance(body, Cancelled):
            self.cancelled.append(body.token)
        elif isinstance(body, c.Requested):
            self.requested.append(body)
            self.bound[body.task] = msgspec.json.decode(body.bound)
        elif isinstance(body, TaskChanged):
            self.task_states.setdefault(body.task, []).append(body.state)
            self.facts.append(body)
        elif isinstance(body, JobChanged):
            self.job_states.setdefault(body.root, []).append(body.state)
            self.facts.append(body)

    def submit(self, root: str, spec: Any = None, parameters: dict[str, str] | None = None, **fields: Any) -> str:
        values = {
            name: JobParameter(value=msgspec.Raw(msgspec.json.encode(value)), digest=digest(value[-1]))
            for name, value in (parameters or {}).items()
        }
        job = JobSpec(task=spec or task_spec(), parameters=values)
        self.tell(t.JobSubmitted(**({"root": root, "owner": "ada", "request": root, "spec": job} | fields)))
        return first_task_uuid(root)

    def queue(self, task: str, key: str, spec: Any) -> "House":
        ready = self.ready[task]
        return self.tell(c.ChildQueued(fingerprint=ready.fingerprint, token=ready.token, child=key, spec=spec))

    def start(self, task: str) -> "House":
        ready = self.ready[task]
        return self.tell(c.Started(fingerprint=ready.fingerprint, token=ready.token, node="n", incarnation="i"))

    def exit(self, task: str, code: int = 0, output: str = "out") -> "House":
        ready = self.ready[task]
        return self.tell(
            c.Exited(fingerprint=ready.fingerprint, token=ready.token, node="n", exit_code=code, output=output)
        )

    def tasks(self, root: str) -> list[Any]:
        return list(self.jobs.machine.rows[root].tasks.values())

    def state(self, task: str) -> str:
        return self.task_states[task][-1]


def test_a_jobs_life():
    h = House()
    first = h.submit("j1")
    h.start(first).exit(first)
    assert h.task_states[first] == ["todo", "claimed", "running", "complete"]
    h.tell(t.JobAssembled(root="j1", output="pdh"))
    assert h.job_states["j1"] == ["queued", "running", "assembling", "complete"]


def test_a_repeated_creation_is_the_same_job_and_another_on_its_uuid_is_refused():
    h = House()
    h.submit("j1")
    h.submit("j1")
    h.jobs.answered(Outcome.NOTHING, Reason.ALREADY)
    h.submit("j1", request="other")
    h.jobs.answered(Outcome.REFUSED, Reason.UUID_TAKEN)
    h.submit("j1", request="other", find=True)
    h.jobs.answered(Outcome.NOTHING, Reason.ALREADY)


def test_levels_are_barriers_and_a_claim_is_asked_for_only_when_its_level_is_reached():
    h = House()
    first = h.submit("j1")
    h.queue(first, "b", task_spec("b", sequence=1)).queue(first, "c", task_spec("c", sequence=2)).exit(first)
    one, two = [task.uuid for task in h.tasks("j1")[1:]]
    assert (h.state(one), h.state(two)) == ("claimed", "todo")
    assert len(h.requested) == 2
    h.exit(one)
    assert h.state(two) == "claimed"


def test_an_executor_is_told_a_tasks_rank_in_its_job():
    h = House()
    first = h.submit("j1")
    h.queue(first, "b", task_spec("b", sequence=2)).queue(first, "c", task_spec("c", sequence=1)).exit(first)
    h.exit(h.tasks("j1")[2].uuid)
    assert [h.ready[task.uuid].qsequence for task in h.tasks("j1")] == [0, 1, 2]


def test_a_task_may_add_to_its_own_level():
    h = House()
    first = h.submit("j1")
    h.queue(first, "b", task_spec("b", sequence=0)).exit(first)
    assert h.state(h.tasks("j1")[1].uuid) == "claimed"


def children_before_the_level_closes() -> None:
    h = House()
    first = h.submit("j1")
    h.queue(first, "b", task_spec("b", sequence=1)).exit(first)
    assert h.job_states["j1"] == ["queued", "running"]
    h.exit(h.tasks("j1")[1].uuid)
    assert h.job_states["j1"][-1] == "assembling"


def test_children_come_before_their_parents_last_record():
    children_before_the_level_closes()
    with mutations.children_after_the_terminal_record(), pytest.raises(AssertionError):
        children_before_the_level_closes()


def copied_child_is_bound_here() -> None:
    h = House()
    first = h.submit("j1", parameters={"genome": "hg19"})
    h.queue(first, "b", task_spec("b", sequence=1, job_parameters=("genome",))).exit(first)
    h.exit(h.tasks("j1")[1].uuid)
    second = h.submit("j2", parameters={"genome": "hg38"})
    assert h.state(second) == "copied"
    child = h.tasks("j2")[1].uuid
    assert h.bound[child] == {"genome": "hg38"}
    assert h.state(child) == "claimed"


def test_a_copied_child_never_brings_another_jobs_values():
    copied_child_is_bound_here()
    with mutations.copied_child_keeps_its_parameters(), pytest.raises(AssertionError):
        copied_child_is_bound_here()


def test_parameters_that_a_task_does_not_name_do_not_keep_it_from_being_reused():
    h = House()
    h.exit(h.submit("j1", parameters={"genome": "hg19", "note": "one"}, spec=task_spec(job_parameters=("genome",))))
    second = h.submit("j2", parameters={"genome": "hg19", "note": "two"}, spec=task_spec(job_parameters=("genome",)))
    assert h.state(second) == "copied"
    third = h.submit("j3", parameters={"genome": "hg19", "note": "two"}, spec=task_spec(job_parameters="all"))
    assert h.bound[third] == {"genome": "hg19", "note": "two"}
    assert h.state(third) == "claimed"


def test_a_parameter_that_the_job_does_not_have_fails_it_and_says_which():
    h = House()
    h.submit("j1", spec=task_spec(job_parameters=("genome",)))
    failed = next(f for f in h.facts if isinstance(f, TaskChanged) and f.state == "failed")
    assert failed.reason is Reason.PARAMETER_UNSET
    assert "genome" in failed.detail
    h.tell(t.JobAssembled(root="j1", output="e"))
    assert h.job_states["j1"][-1] == "failed"
    assert h.facts[-1].reason is Reason.PARAMETER_UNSET


def a_task_that_queues_itself_ends() -> None:
    h = House()
    first = h.submit("j1")
    h.queue(first, "self", task_spec()).exit(first)
    assert h.job_states["j1"][-1] == "assembling"
    reasons = [f.reason for f in h.facts if isinstance(f, TaskChanged) and f.state == "failed"]
    assert reasons == [Reason.OWN_ANCESTOR]


def test_a_task_that_queues_itself_ends_instead_of_being_copied_for_ever():
    a_task_that_queues_itself_ends()
    with mutations.no_ancestor_check(), pytest.raises((AssertionError, KeyError)):
        a_task_that_queues_itself_ends()


def test_the_first_permanent_failure_fails_the_job_running_siblings_finish_and_nothing_new_starts():
    h = House()
    first = h.submit("j1")
    for key in "bcd":
        h.queue(first, key, task_spec(key, sequence=1))
    h.queue(first, "e", task_spec("e", sequence=2)).exit(first)
    b, d, unstarted, later = [task.uuid for task in h.tasks("j1")[1:]]
    h.start(b).start(d).exit(b, 1)
    assert h.state(unstarted) == h.state(later) == "cancelled"
    assert h.job_states["j1"][-1] == "running"
    h.exit(d)
    assert h.state(d) == "complete"
    assert h.job_states["j1"][-1] == "assembling"
    h.tell(t.JobAssembled(root="j1", output="partial"))
    assert h.job_states["j1"][-1] == "failed"


def test_cancel_withdraws_everything_and_again_has_no_effect():
    h = House()
    first = h.submit("j1")
    h.start(first).tell(t.JobCancelled(root="j1"))
    assert h.state(first) == "cancelled"
    assert h.cancelled == [h.ready[first].token]
    h.tell(t.JobCancelled(root="j1"))
    h.jobs.answered(Outcome.NOTHING, Reason.ALREADY)
    h.exit(first)
    assert h.state(first) == "cancelled"


def test_a_cancelled_jobs_execution_goes_on_for_another_job():
    h = House()
    first = h.submit("j1")
    h.start(first)
    second = h.submit("j2")
    h.tell(t.JobCancelled(root="j1"))
    assert h.cancelled == []
    assert h.state(second) == "running"
    h.exit(first)
    assert h.state(second) == "complete"


def test_a_finished_job_can_not_be_cancelled():
    h = House()
    h.exit(h.submit("j1")).tell(t.JobAssembled(root="j1", output="o"), t.JobCancelled(root="j1"))
    h.jobs.answered(Outcome.REFUSED, Reason.FINISHED)


def test_purity_only_falls_and_a_waiting_task_asks_anew():
    h = House()
    h.submit("j1")
    second = h.submit("j2")
    h.tell(t.PurityTakenBack(root="j2", task=second))
    assert h.requested[-1].fingerprint == f"impure:{second}"
    assert second in h.ready
    h.tell(t.PurityTakenBack(root="j2", task=second, is_pure=True))
    h.jobs.answered(Outcome.REFUSED, Reason.PURITY_ONLY_FALLS)


@pytest.mark.parametrize(
    "fields", [{"is_pure": False}, {"no_reuse": True}, {"ineligible": "inputs.x is a collection uuid"}]
)
def test_what_is_not_shared_runs_under_a_fingerprint_of_its_own(fields):
    h = House()
    first, second = h.submit("j1", spec=task_spec(**fields)), h.submit("j2", spec=task_spec(**fields))
    assert set(h.ready) == {first, second}


def test_an_operator_may_declare_scripts_pure_and_then_all_parameters_count():
    h = House()
    script = {"repository": "r", "script": "s", "commit": "c1", "is_pure": False}
    h.tell(Forwarded(change=PureAssumed(repository="r", script="s", commits=("c1",)), position=1))
    first = h.submit("j1", spec=task_spec(**script), parameters={"genome": "hg19"})
    second = h.submit("j2", spec=task_spec(**script), parameters={"genome": "hg19"})
    third = h.submit("j3", spec=task_spec(**script), parameters={"genome": "hg38"})
    assert set(h.ready) == {first, third}
    h.exit(first)
    assert h.state(second) == "copied"


def test_depth_and_number_of_tasks_are_bounded():
    h = House()
    h.tell(Forwarded(change=ConfigSet(name="max_depth", value=1), position=1))
    first = h.submit("j1")
    h.queue(first, "b", task_spec("b", sequence=1)).exit(first)
    child = h.tasks("j1")[1].uuid
    h.queue(child, "c", task_spec("c", sequence=2)).exit(child)
    assert [f.reason for f in h.facts if isinstance(f, TaskChanged) and f.state == "failed"] == [Reason.TOO_DEEP]


def test_users_add_tasks_while_the_job_takes_them():
    h = House()
    first = h.submit("j1")
    h.tell(t.TaskSubmitted(root="j1", task="extra", created_by=first, spec=task_spec("x")))
    assert h.state("extra") == "claimed"
    h.tell(t.TaskSubmitted(root="j1", task="extra", created_by=first, spec=task_spec("x")))
    h.jobs.answered(Outcome.NOTHING, Reason.ALREADY)
    h.exit(first).exit("extra")
    h.tell(t.TaskSubmitted(root="j1", task="late", spec=task_spec("y")))
    h.jobs.answered(Outcome.REFUSED, Reason.FINISHED)


def test_a_record_for_an_unknown_job_or_task_is_an_answer_not_an_error():
    h = House()
    h.tell(t.JobCancelled(root="nobody"))
    h.jobs.answered(Outcome.REFUSED, Reason.UNKNOWN)
    h.submit("j1")
    h.tell(t.TaskFailed(root="j1", task="nobody", reason=Reason.PERMANENT_FAILURE))
    h.jobs.answered(Outcome.REFUSED, Reason.UNKNOWN)


def test_a_cancelled_job_gets_its_log_once_and_no_output():
    h = House()
    h.submit("j1")
    h.tell(t.JobCancelled(root="j1"), t.JobAssembled(root="j1", output="late", log="log"))
    last = h.facts[-1]
    assert (last.state, last.log, last.output, last.reason) == ("cancelled", "log", "", Reason.CANCELLED)
    h.jobs.restarted()
    h.tell(t.JobAssembled(root="j1", output="", log="another"))
    h.jobs.answered(Outcome.NOTHING, Reason.ALREADY)
    assert h.facts[-1] is last


def test_what_a_failed_task_had_named_as_its_output_stands_with_it():
    h = House()
    first = h.submit("j1")
    h.tell(t.TaskFailed(root="j1", task=first, reason=Reason.PERMANENT_FAILURE, output="partial"))
    assert [fact.output for fact in h.facts if fact.state == "failed"] == ["partial"]


def test_the_machine_is_the_same_after_any_restart():
    h = House()
    first = h.submit("j1", parameters={"genome": "hg19"})
    h.jobs.restarted()
    h.claims.restarted()
    h.queue(first, "b", task_spec("b", sequence=1))
    h.claims.restarted()
    h.exit(first)
    h.jobs.restarted()
    h.exit(h.tasks("j1")[1].uuid)
    assert h.job_states["j1"][-1] == "assembling"
    assert all(task.state in FINAL for task in h.tasks("j1"))


def test_a_child_is_under_its_own_jobs_policy_and_brings_none():
    h = House()
    first = h.submit("j1", spec=task_spec(priority=7))
    h.queue(first, "b", task_spec("b", sequence=1, priority=99, no_reuse=True, refresh=True, share="by_inputs"))
    h.exit(first)
    asked = h.requested[-1]
    assert (asked.priority, asked.refresh, asked.by_inputs) == (7, False, False)
    assert not asked.fingerprint.startswith("impure:")
    second = h.submit("j2", spec=task_spec("z", no_reuse=True))
    h.queue(second, "b", task_spec("b", sequence=1)).exit(second)
    assert h.requested[-1].fingerprint.startswith("impure:")
