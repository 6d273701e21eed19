"""What the dashboard asks of the read model: bounded, and never more than the viewer may see."""

import msgspec
import pytest

from readmodel import board, queries, registry
from readmodel.forecast import forecast
from readmodel.lineage import lineage
from readmodel.sight import sight
from schemas import claims as c
from schemas.reasons import Failure
from schemas.spec import JobSpec
from schemas.topics import Topic
from streams.log import Place
from tests.support.mishaps import ends_too_late
from tests.support.model import with_children
from tests.support.office import spec


@pytest.fixture
def model(model):
    registry.prepare(model.connection)
    return model


def disagree(office, owner="ada"):
    """Two executions of the same work with different outputs; its fingerprint."""
    outputs = iter(("one+1", "other+1"))
    office.exits = lambda ready: {"output": next(outputs)}
    for root in ("job-a", "job-b"):
        office.submit(owner, root, spec(root, refresh=root == "job-b"))
        office.run()
    return office.done[0].fingerprint


# --- Jobs and trees ---------------------------------------------------------------------------------------------------


def test_jobs_are_counted_as_their_tasks_end(model):
    office = model.office
    office.children = with_children(spec("b", inputs="b", sequence=1), spec("c", inputs="c", sequence=1))
    office.submit("ada", "job-1", spec("split"))
    office.settle()
    [job] = model.ask(board.jobs, "ada", "active", 10, 0)
    assert (job.tasks, job.open, job.executed) == (1, 1, 0)
    office.run()
    job = model.ask(board.job, "ada", "job-1")
    assert (job.tasks, job.open, job.executed, job.copied, job.saved) == (3, 0, 3, 0, 0)
    office.submit("ada", "job-2", spec("split"))
    office.run()
    job = model.ask(board.job, "ada", "job-2")
    assert (job.tasks, job.executed, job.copied) == (3, 0, 3)
    assert [job.root for job in model.ask(board.jobs, "ada", "all", 10, 0)] == ["job-2", "job-1"]
    assert [job.root for job in model.ask(board.jobs, "ada", "all", 1, 1)] == ["job-1"]
    assert model.ask(board.jobs, "ada", "failed", 10, 0) == []


def test_what_a_task_queued_is_listed_by_pages(model):
    office = model.office
    office.children = with_children(*(spec(f"c{n}", inputs=f"c{n}", sequence=1) for n in range(5)))
    office.submit("ada", "job-1", spec("split"))
    office.run()
    [first] = model.ask(board.children, "ada", "job-1", "", 10, 0)
    assert model.ask(board.queued_by, "job-1", [first.task]) == {first.task: 5}
    pages = [model.ask(board.children, "ada", "job-1", first.task, 2, offset) for offset in (0, 2, 4)]
    assert [[task.name for task in page] for page in pages] == [["c0", "c1"], ["c2", "c3"], ["c4"]]
    assert model.ask(board.children, "eve", "job-1", "", 10, 0) == []


def test_what_a_client_deleted_is_gone(model):
    model.office.submit("ada", "job-1", spec("one"))
    model.office.run()
    task = model.task("ada", "job-1").task
    assert model.ask(board.task, "ada", task) is not None
    registry.execute(model.connection, "delete_noted", {"uuid": "job-1", "now": 1})
    assert model.ask(board.task, "ada", task) is None
    assert model.ask(board.job, "ada", "job-1") is None
    assert model.ask(board.jobs, "ada", "all", 10, 0) == []


# --- Claims -----------------------------------------------------------------------------------------------------------


def test_claims_in_flight_say_who_of_those_one_sees_waits(model):
    office = model.office
    office.may_read("ben", "ada")
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    office.submit("ben", "job-2", spec("two"))
    office.settle()
    [flight] = model.ask(board.in_flight, "root", 10)
    assert (flight.name, flight.waiters, flight.status) == ("one", 1, "granted")
    [flight] = model.ask(board.in_flight, "ada", 10)
    assert flight.waiters == 0  # ben's waiting is not hers to see
    assert model.ask(board.in_flight, "eve", 10) == []
    assert [one.task for one in model.ask(board.in_flight, "ada", 10, node=flight.node)] == [flight.task]
    assert model.ask(board.in_flight, "ada", 10, node="another") == []
    office.run()
    assert model.ask(board.in_flight, "root", 10) == []


def test_the_most_copied_is_what_one_sees_copied_most(model):
    office = model.office
    office.may_read("ben", "ada")
    for rank in range(3):
        office.submit("ada", f"a{rank}", spec("often", inputs="a"))
        office.run()
        office.submit("ben", f"b{rank}", spec("seldom", inputs="b"))
        office.run()
    assert [(hot.name, hot.copies) for hot in model.ask(board.hot, "ada", 10)] == [("often", 2)]
    assert sorted((hot.name, hot.copies) for hot in model.ask(board.hot, "ben", 10)) == [("often", 2), ("seldom", 2)]
    assert model.ask(board.hot, "eve", 10) == []


def test_conflicts_are_for_who_sees_both_sides_and_are_open_until_decided(model):
    office = model.office
    fingerprint = disagree(office)
    [conflict] = model.ask(board.conflicts, "ada", 10)
    assert (conflict.is_open, conflict.earlier.output, conflict.later.output) == (True, "one+1", "other+1")
    assert model.ask(board.conflicts, "eve", 10) == []
    assert model.ask(board.conflicts, "ada", 10, fingerprint="another") == []
    office.say(Topic.CLAIMS, c.Released(fingerprint=fingerprint))
    office.settle()
    [conflict] = model.ask(board.conflicts, "ada", 10, fingerprint=fingerprint)
    assert not conflict.is_open


def test_an_output_that_was_settled_opens_nothing_when_it_comes_again(model):
    office = model.office
    fingerprint = disagree(office)
    office.say(Topic.CLAIMS, c.Released(fingerprint=fingerprint))
    office.settle()
    for root, output in (("job-8", "other+1"), ("job-9", "third+1")):
        office.exits = lambda ready, output=output: {"output": output}
        office.submit("ada", root, spec("one", refresh=True))
        office.run()
    told = [(one.later.output, one.is_open) for one in model.ask(board.conflicts, "ada", 10)]
    assert [output for output, is_open in told if is_open] == ["third+1", "third+1"]
    assert [output for output, is_open in told if not is_open] == ["other+1", "other+1"]


def test_a_conflict_is_over_when_one_side_is_declared_wrong(model):
    fingerprint = disagree(model.office)
    [conflict] = model.ask(board.conflicts, "ada", 10)
    wrong = c.Invalidated(fingerprint=fingerprint, token=conflict.earlier.token)
    model.office.say(Topic.CLAIMS, wrong)
    model.office.settle()
    [conflict] = model.ask(board.conflicts, "ada", 10)
    assert (conflict.is_open, conflict.earlier.status) == (False, "invalidated")


@pytest.mark.parametrize("decision", ["released", "kept"])
def test_an_output_that_came_too_late_is_a_conflict_until_somebody_decides(model, decision):
    office = model.office
    office.exits = lambda ready: {"output": f"attempt-{ready.attempt}+1"}
    fingerprint = ends_too_late(office, "job-a").fingerprint
    [conflict] = model.ask(board.conflicts, "ada", 10)
    assert (conflict.earlier.status, conflict.later.status, conflict.is_open) == ("lost", "done", True)
    assert (conflict.earlier.output, conflict.later.output) == ("attempt-1+1", "attempt-2+1")
    assert model.ask(board.conflicts, "eve", 10) == []
    assert foretold(model) == ("execute", "conflict")
    if decision == "released":
        office.say(Topic.CLAIMS, c.Released(fingerprint=fingerprint))
    else:
        office.say(Topic.CLAIMS, c.Invalidated(fingerprint=fingerprint, keep=conflict.later.token))
    office.run()
    [conflict] = model.ask(board.conflicts, "ada", 10)
    assert not conflict.is_open
    assert foretold(model) == ("reuse", None)
    office.submit("ada", "job-b", spec("two"))
    office.run()
    assert model.task("ada", "job-b").output == "attempt-2+1"


def foretold(model):
    """What would become of the same work now, and why."""
    [told] = model.ask(forecast, "ada", JobSpec(task=spec("again")), 2**45)
    return told.would, next((why.code for why in told.why), None)


def test_that_a_fingerprint_is_out_of_use_is_for_who_sees_an_execution_of_it(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.run()
    fingerprint = model.task("ada", "job-1").fingerprint
    assert model.ask(queries.quarantine, "ada", fingerprint) is None
    office.say(Topic.CLAIMS, c.Quarantined(fingerprint=fingerprint, reason="wrong"))
    office.settle()
    for viewer, reason in {"ada": "wrong", "root": "wrong", "eve": None}.items():
        told = model.ask(queries.quarantine, viewer, fingerprint)
        assert (told and told["reason"]) == reason, viewer


def test_that_nodes_were_lost_is_for_who_sees_as_many_lost(model):
    office = model.office
    office.number("quarantine_losses", 2)
    office.exits = lambda ready: {"exit_code": -1, "failure": Failure.NODE, "output": ""}
    for owner in ("ada", "eve"):
        office.submit(owner, f"job of {owner}", spec("one"))
        office.settle()
    fingerprint = model.task("ada", "job of ada").fingerprint
    for _ in range(2):
        [hers] = [e for e in model.ask(queries.executions_of, "ada", fingerprint) if e.status == "granted"]
        office.say(Topic.CLAIMS, c.Lost(fingerprint=fingerprint, token=hers.token, node="n1"))
        office.settle()
    assert model.ask(queries.executions_of, "eve", fingerprint)
    known = {viewer: model.ask(queries.quarantine, viewer, fingerprint) for viewer in ("ada", "root", "eve")}
    assert known["ada"] == known["root"]
    assert known["ada"]["reason"].startswith("2 nodes were lost")
    assert known["eve"] is None


# --- Savings ----------------------------------------------------------------------------------------------------------


def test_hours_hold_what_ended_for_those_who_may_see_it(model):
    office = model.office
    office.exits = lambda ready: {"output": "o+1", "started_at": 1_000, "finished_at": 8_000}
    for root in ("job-1", "job-2", "job-3"):
        office.submit("ada", root, spec("one"))
        office.run()
    office.exits = lambda ready: {"exit_code": 1, "failure": Failure.EXIT}
    office.submit("ada", "job-4", spec("two", inputs="z"))
    office.run()
    [hour] = model.ask(board.hours, "ada", 0)
    assert (hour.executed, hour.copied, hour.failed, hour.saved) == (1, 2, 1, 14_000)
    assert hour.hour % board.HOUR == 0
    assert model.ask(board.hours, "ada", hour.hour + 1) == []
    assert model.ask(board.hours, "eve", 0) == []
    assert model.ask(board.hours, "root", 0) == [hour]


def test_how_far_it_is_projected_and_of_when(model):
    model.office.submit("ada", "job-1", spec("one"))
    model.office.run()
    stands = {one.partition: one for one in model.ask(board.projected)}
    for number, one in stands.items():
        end = model.office.log.end(place := Place(Topic.FACTS, number))
        assert one.next_offset == end
        assert one.as_of == model.office.log.read(place, end - 1, 1)[0].time


# --- Lineage ----------------------------------------------------------------------------------------------------------


def test_where_an_output_came_from_and_where_it_went(model):
    office = model.office
    office.may_read("ben", "ada")
    office.exits = lambda ready: {"output": "made+1" if b'"maker"' in bytes(ready.spec) else "end+1"}
    office.submit("ada", "job-1", spec("maker"))
    office.run()
    for owner, root in (("ada", "job-2"), ("ben", "job-3")):
        users = spec("user", inputs="u")
        office.submit(owner, root, _given(users, {"in": "made+1", "other": "unknown+1"}))
        office.run()
    mine = model.task("ben", "job-3")
    found = model.ask(lineage, "ben", mine)
    assert [(one.name, one.maker and one.maker.name) for one in found.inputs] == [("in", "maker"), ("other", None)]
    assert [(held.root, held.state) for held in found.holders] == [("job-2", "complete"), ("job-3", "copied")]
    assert found.execution.output == "end+1"
    assert (found.own.task, found.queued_by, found.more_holders) == (mine.task, None, False)
    office.may_not_read("ben", "ada")
    office.settle()
    found = model.ask(lineage, "ben", model.task("ben", "job-3"))
    assert [one.maker for one in found.inputs] == [None, None]
    assert [held.root for held in found.holders] == ["job-3"]
    assert (found.execution.node, found.execution.task) == (None, None)


def _given(one, inputs):
    return msgspec.structs.replace(one, inputs=inputs)


def test_makers_and_holders_are_those_in_sight(model):
    model.office.submit("ada", "job-1", spec("one"))
    model.office.run()
    task = model.task("ada", "job-1")
    seen, blind = (sight(model.connection, viewer) for viewer in ("ada", "eve"))
    assert board.makers(model.connection, seen, [task.output, "none+1"])[task.output].task == task.task
    assert board.makers(model.connection, blind, [task.output]) == {}
    assert [held.task for held in board.holders(model.connection, seen, task.token, 5)] == [task.task]
    assert board.holders(model.connection, blind, task.token, 5) == []


def test_the_tasks_of_a_fingerprint(model):
    for root in ("job-1", "job-2"):
        model.office.submit("ada", root, spec(root))
        model.office.run()
    fingerprint = model.task("ada", "job-1").fingerprint
    assert [held.root for held in model.ask(board.tasks_of_fingerprint, "ada", fingerprint, 5)] == ["job-2", "job-1"]
    assert model.ask(board.tasks_of_fingerprint, "eve", fingerprint, 5) == []
