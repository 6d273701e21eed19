"""The checkers: they share nothing with the machines, and look for what must never be in the topics."""

import pytest

from coordinator import claims_decide
from coordinator.audit_claims import ClaimsChecker
from coordinator.audit_jobs import JobsChecker
from schemas import facts as f
from schemas import tasks as t
from schemas.claims import Exited, Invalidated, Released, Removed
from schemas.tasks import TaskCreated
from schemas.topics import Topic
from streams.caused import ends_of, steps
from tests.support import mutations
from tests.support.mishaps import ends_too_late
from tests.support.office import Office, spec
from tests.support.traffic import busy_office

# --- Machines that decide wrongly: the checkers share nothing with them -----------------------------------------------


@pytest.mark.parametrize(
    ("mutation", "invariant"),
    [
        (mutations.no_fencing, 2),
        (mutations.visibility_ignored, 6),
        (mutations.no_proof, 6),
        (mutations.children_after_the_terminal_record, 8),
        (mutations.waiters_not_redecided, 10),
    ],
)
def test_a_machine_with_a_simpler_rule_is_caught(mutation, invariant):
    for seed in range(200):
        with mutation():
            office = busy_office(seed, events=60)
        if any(violation.invariant == invariant for violation in violations(office)):
            return
    pytest.fail(f"nothing of invariant {invariant} in 200 logs")


def revoked_while_waiting(office):
    office.may_not_read("ben", "ada")


def owner_leaves(office):
    office.may_read("eve", "ada")
    office.submit("eve", "job-3", spec("three"))
    office.settle()
    office.cancel("job-1")


@pytest.mark.parametrize(
    ("mutation", "then"),
    [(mutations.visibility_of_yesterday, revoked_while_waiting), (mutations.waiters_inherited, owner_leaves)],
)
def test_a_machine_that_gives_across_a_border_is_caught(mutation, then):
    def happen():
        office = Office()
        for name in ("ada", "ben", "eve"):
            office.user(name)
        office.may_read("ben", "ada")
        office.submit("ada", "job-1", spec("one"))
        office.settle()
        office.submit("ben", "job-2", spec("two"))
        office.settle()
        then(office)
        office.run()
        return [violation.invariant for violation in violations(office)]

    assert happen() == []
    with mutation():
        assert 6 in happen()


@pytest.mark.parametrize(("is_decided", "found"), [(False, [7]), (True, [])])
def test_what_is_given_because_the_other_output_is_gone_is_found_unless_somebody_had_decided(is_decided, found):
    def happen():
        office = Office()
        office.user("ada")
        for root, output in (("job-1", "one"), ("job-2", "other")):
            office.exits = lambda ready, output=output: {"output": output}
            office.submit("ada", root, spec(root, refresh=root == "job-2"))
            office.run()
        one, _ = office.done
        office.say(Topic.CLAIMS, Removed(fingerprint=one.fingerprint, token=one.token))
        if is_decided:
            office.say(Topic.CLAIMS, Released(fingerprint=one.fingerprint))
        office.submit("ada", "job-3", spec("three"))
        office.run()
        return [violation.invariant for violation in violations(office)]

    assert happen() == []
    with mutations.lost_outputs_say_nothing():
        assert happen() == found


def test_an_acknowledged_priority_that_a_task_does_not_ask_with_is_found():
    def happen():
        office = Office()
        office.user("ada")
        office.submit("ada", "job-1", spec("one"))
        office.settle()
        office.say(Topic.TASKS, t.JobPrioritised(root="job-1", priority=5))
        office.say(Topic.TASKS, t.TaskSubmitted(root="job-1", task="later", spec=spec("two", sequence=1)))
        office.settle()
        office.say(Topic.TASKS, t.JobPrioritised(root="job-1", priority=7))
        office.run()
        return office

    assert list(violations(happen())) == []
    with mutations.priority_forgotten():
        assert {violation.invariant for violation in violations(happen())} == {10}


@pytest.mark.parametrize("says", ["kept", "nothing", "another word"])
def test_what_is_given_against_a_late_word_is_found_unless_an_operator_kept_it_and_that_was_told(says):
    def tampered(step):
        if says == "nothing":
            return without(f.Kept)(step)
        is_kept = first(step, f.Kept) is not None
        return step._replace(command=Released(fingerprint=step.command.fingerprint)) if is_kept else None

    office = Office()
    office.user("ada")
    office.exits = lambda ready: {"output": f"attempt-{ready.attempt}"}
    late = ends_too_late(office, "job-1")
    entry = office.done[-1]
    office.say(Topic.CLAIMS, Invalidated(fingerprint=late.fingerprint, keep=entry.token))
    office.submit("ada", "job-2", spec("two"))
    office.run()
    place = office.routes.place(Topic.CLAIMS, late.fingerprint)
    assert list(violations(office)) == []
    if says != "kept":
        assert found_after(tampered, Topic.CLAIMS, list(steps_of(office, place))) == {7}


def test_a_grant_beside_another_is_found_and_so_is_what_the_machine_said_of_it(monkeypatch):
    monkeypatch.setattr(claims_decide, "can_wait", lambda _execution, _want: False)
    office = Office()
    office.user("ada")
    for root in ("job-1", "job-2"):
        office.submit("ada", root, spec("same"))
        office.settle()
    said = list(violations(office))
    assert [violation.invariant for violation in said] == [1, 1]
    assert "although a visible execution is granted" in said[0].text
    assert "the log itself says that one would have done" in said[1].text


def violations(office):
    """What the checkers say, from the topics alone."""
    for place in office.log.at:
        if place.topic in CHECKERS:
            checker = CHECKERS[place.topic]()
            for step in steps_of(office, place):
                yield from checker.check(step)


CHECKERS = {Topic.TASKS: JobsChecker, Topic.CLAIMS: ClaimsChecker}


def steps_of(office, place):
    return steps(office.log, place, office.log.end(place), ends_of(office.log, list(office.log.at)))


# --- Steps that never were --------------------------------------------------------------------------------------------


def with_output(step, old, new):
    """The step with one of its outputs replaced."""
    return step._replace(outputs=tuple(new if output is old else output for output in step.outputs))


def first(step, kind, **fields):
    return next(
        (o for o in step.outputs if type(o) is kind and all(getattr(o, n) == v for n, v in fields.items())), None
    )


def changed(kind, condition=None, **fields):
    """Tampering: the first record of this type has other fields."""

    def tamper(step):
        record = first(step, kind, **(condition or {}))
        if record is None:
            return None
        values = {name: getattr(record, name) for name in record.__struct_fields__} | fields
        return with_output(step, record, kind(**values))

    return tamper


def without(kind):
    """Tampering: the first record of this type is not there."""

    def tamper(step):
        record = first(step, kind)
        return None if record is None else step._replace(outputs=tuple(o for o in step.outputs if o is not record))

    return tamper


def granted_instead_of_reused(step):
    reused = first(step, f.Reused, waited=False)
    if reused is None or not reused.source:
        return None
    token = f"{step.token}0.x"
    grant = f.Granted(
        fingerprint=reused.fingerprint, token=token, task=reused.task, root=reused.root, owner=step.command.owner
    )
    return with_output(step, reused, grant)


def answered_twice(step):
    answer = first(step, f.Answered)
    return answer and step._replace(outputs=(*step.outputs, answer))


def two_waiters_swapped(step):
    moved = [o for o in step.outputs if type(o) is f.Reused and o.waited]
    if len(moved) < 2:
        return None
    one, two = moved[:2]
    swapped = {id(one): two, id(two): one}
    return step._replace(outputs=tuple(swapped.get(id(o), o) for o in step.outputs))


def exit_of_another(step):
    if not isinstance(step.command, Exited) or first(step, f.ExecutionChanged, status="done") is None:
        return None
    return step._replace(command=Exited(fingerprint="f", token="another", node="n", exit_code=0, output="o"))


@pytest.mark.parametrize(
    ("invariant", "topic", "tamper"),
    [
        (1, Topic.CLAIMS, granted_instead_of_reused),
        (2, Topic.CLAIMS, exit_of_another),
        (2, Topic.CLAIMS, changed(t.TaskCompleted, output="other")),
        (2, Topic.CLAIMS, changed(f.ExecutionChanged, {"status": "done"}, output="other")),
        (3, Topic.CLAIMS, changed(f.Granted, {"why": "first"}, token="one of another record")),
        (4, Topic.CLAIMS, changed(t.TaskCopied, output="other")),
        (4, Topic.TASKS, changed(f.TaskChanged, {"state": "copied"}, output="other")),
        (4, Topic.TASKS, changed(f.TaskChanged, {"state": "complete"}, state="running")),
        (5, Topic.CLAIMS, two_waiters_swapped),
        (6, Topic.CLAIMS, changed(f.Reused, {"waited": False}, source="a task of nobody")),
        (7, Topic.CLAIMS, without(f.ExecutionChanged)),
        (8, Topic.CLAIMS, without(TaskCreated)),
        (8, Topic.TASKS, changed(f.TaskChanged, {"state": "todo"}, state="claimed")),
        (10, Topic.CLAIMS, answered_twice),
        (10, Topic.CLAIMS, without(f.Answered)),
        (10, Topic.TASKS, without(f.Answered)),
    ],
)
def test_each_invariant_is_looked_for(invariant, topic, tamper):
    for seed in range(60):
        office = busy_office(seed, events=60)
        for place in (place for place in office.log.at if place.topic is topic):
            if invariant in found_after(tamper, topic, list(steps_of(office, place))):
                return
    pytest.fail(f"invariant {invariant} was not found broken in 60 logs")


def found_after(tamper, topic, whole):
    """Numbers of what is found when the first step that can be is tampered with."""
    at = next((rank for rank, step in enumerate(whole) if tamper(step)), None)
    if at is None:
        return set()
    whole[at] = tamper(whole[at])
    checker = CHECKERS[topic]()
    return {violation.invariant for step in whole for violation in checker.check(step)}
