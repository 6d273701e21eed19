"""A job's priority after its creation: what has asked gets it, what asks later has it, what has ended refuses it."""

import pytest

from schemas import claims as c
from schemas import tasks as t
from schemas.facts import PriorityChanged
from schemas.reasons import Outcome, Reason
from schemas.work import Ready, Reprioritised
from tests.scenarios.test_jobs import House
from tests.support.scene import FP, Scene, task_spec

# --- The jobs machine -------------------------------------------------------------------------------------------------


def prioritised(root: str, priority: int) -> t.JobPrioritised:
    return t.JobPrioritised(root=root, priority=priority)


def said(house: House) -> list[object]:
    return [output.body for output in house.jobs.outputs][:-1]


def test_what_has_asked_is_told_of_it_and_what_asks_later_asks_with_it():
    h = House()
    first = h.submit("j1", task_spec(priority=1))
    h.queue(first, "k1", task_spec("b", sequence=1))
    h.jobs.when(prioritised("j1", 7))
    asked = c.TaskPrioritised(fingerprint=h.ready[first].fingerprint, task=first, root="j1", priority=7)
    assert said(h) == [PriorityChanged(root="j1", priority=7), asked]
    h.jobs.answered(Outcome.DONE)
    h.start(first).exit(first)
    assert [want.priority for want in h.requested] == [1, 7]


def test_a_task_of_a_later_level_asks_with_it():
    h = House()
    h.submit("j1")
    h.tell(t.TaskSubmitted(root="j1", task="later", spec=task_spec("b", sequence=3)))
    h.tell(prioritised("j1", -4))
    h.exit(h.tasks("j1")[0].uuid)
    assert [(want.task, want.priority) for want in h.requested[1:]] == [("later", -4)]


def test_a_task_that_a_user_adds_has_its_jobs():
    h = House()
    h.submit("j1", task_spec(priority=2))
    h.tell(t.TaskSubmitted(root="j1", task="added", spec=task_spec("b", priority=9)))
    assert [want.priority for want in h.requested] == [2, 2]


def test_the_same_again_is_nothing_and_of_what_has_ended_it_is_refused():
    h = House()
    first = h.submit("j1")
    h.tell(prioritised("j1", 3), prioritised("j1", 3))
    h.jobs.answered(Outcome.NOTHING, Reason.ALREADY)
    h.start(first).exit(first).tell(prioritised("j1", 4))
    h.jobs.answered(Outcome.DONE)  # its outputs are yet to be joined: it has not ended
    h.tell(t.JobAssembled(root="j1", output="pdh"), prioritised("j1", 5))
    h.jobs.answered(Outcome.REFUSED, Reason.FINISHED)
    h.tell(prioritised("nobody's", 5))
    h.jobs.answered(Outcome.REFUSED, Reason.UNKNOWN)


def test_it_is_remembered_by_who_goes_on_from_a_snapshot():
    h = House()
    h.submit("j1")
    h.tell(t.TaskSubmitted(root="j1", task="later", spec=task_spec("b", sequence=3)), prioritised("j1", 6))
    h.jobs.restarted()
    h.exit(h.tasks("j1")[0].uuid)
    assert h.requested[-1].priority == 6


# --- The claims machine -----------------------------------------------------------------------------------------------


def scene() -> Scene:
    return Scene().users("ada", "bob")


def told(task: str, priority: int) -> c.TaskPrioritised:
    return c.TaskPrioritised(fingerprint=FP, task=task, root=f"job-{task}", priority=priority)


def test_work_that_no_node_has_gets_another_place():
    s = scene().asks("ada", "t1", priority=1).when(told("t1", 5))
    assert [(one.token, one.priority) for one in s.all(Reprioritised)] == [(s.tokens["t1"], 5)]
    assert s.answer() == (Outcome.DONE, Reason.NONE)
    s.when(told("t1", 5))
    assert s.all(Reprioritised) == []


def test_who_waits_makes_it_more_urgent_and_less_urgent():
    s = scene().asks("ada", "t1", priority=1).asks("ada", "t2", priority=1)
    s.when(told("t2", 8))
    assert [one.priority for one in s.all(Reprioritised)] == [8]
    s.when(told("t1", 3)).when(told("t2", 2))
    assert [one.priority for one in s.all(Reprioritised)] == [3]


def test_those_who_wait_keep_their_order():
    s = scene().asks("ada", "t1").asks("ada", "t2").asks("ada", "t3").when(told("t2", 9))
    s.withdraws("t1")
    assert s.fate("t2") == "promoted"


def test_what_runs_has_it_at_its_next_attempt():
    s = scene().asks("ada", "t1").starts("t1").when(told("t1", 5))
    assert s.all(Reprioritised) == []
    s.exits("t1", 111)
    assert [ready.priority for ready in s.all(Ready)] == [5]


def test_who_waits_on_a_look_is_decided_anew_with_it():
    s = scene().asks("ada", "t1").starts("t1").exits("t1").when(c.Aged(before=1_000))
    s.asks("ada", "t2", priority=1)
    look = s.verification()
    s.when(told("t2", 6)).when(c.OutputMissing(fingerprint=FP, entry=look.entry, token=look.token))
    assert [ready.priority for ready in s.all(Ready)] == [6]


@pytest.mark.parametrize(("ended", "reason"), [(True, Reason.FINISHED), (False, Reason.UNKNOWN)])
def test_what_has_ended_or_never_asked_is_left(ended: bool, reason: Reason):
    s = scene()
    if ended:
        s.asks("ada", "t1").exits("t1")
    s.when(told("t1", 5))
    assert s.answer() == (Outcome.NOTHING, reason)
    assert len(s.sent) == 1
