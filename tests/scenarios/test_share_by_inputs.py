"""Outputs that are shared by inputs: what was queued is proved task by task, and the audit finds nothing wrong."""

from schemas.topics import Topic
from streams.log import Place
from tests.scenarios.test_audit_invariants import violations
from tests.support import mutations
from tests.support.office import Office, spec


def town(*names: str) -> Office:
    """People who see nothing of each other; a first task queues one that does the work."""
    office = Office()
    for name in names:
        office.user(name)
    office.children = lambda ready: [spec("work", script="w", sequence=1)] if b'"first"' in bytes(ready.spec) else []
    office.settle()
    return office


def ends(office: Office, root: str) -> list[str]:
    """What became of the job's tasks, in the order of their ends."""
    tags = ("task_completed", "task_copied", "task_failed")
    places = [place for place in office.log.at if place.topic is Topic.TASKS]
    bodies = [body for place in places for body in office.read(place)]
    return [body.__struct_config__.tag for body in bodies if body.__struct_config__.tag in tags and body.root == root]


def test_what_queued_tasks_is_run_again_and_these_are_given_for_a_proof_of_their_own() -> None:
    office = town("ada", "eve", "cyd")
    office.submit("ada", "job-1", spec("first", share="by_inputs"))
    office.run()
    office.submit("eve", "job-2", spec("first"))
    office.run()
    office.proves = lambda ready: False
    office.submit("cyd", "job-3", spec("first"))
    office.run()
    assert ends(office, "job-2") == ["task_completed", "task_copied"]
    assert ends(office, "job-3") == ["task_completed", "task_completed"]
    assert [(ready.kind, ready.prove) for ready in office.done if ready.prove] == [("verify", "eve"), ("verify", "cyd")]
    assert list(violations(office)) == []


def asked(office: Office, root: str, owner: str, output: str, **fields: str) -> Office:
    """The owner's job is over; what it executes itself has this output."""
    office.exits = lambda ready: {"output": output}
    office.submit(owner, root, spec("work", **fields))
    office.run()
    return office


def test_the_audit_finds_an_output_given_for_the_proof_of_another_owner() -> None:
    def happen() -> Office:
        office = asked(town("ada", "eve", "zoe"), "job-1", "ada", "one", share="by_inputs")
        office.proves = lambda ready: ready.prove == "eve"
        office.submit("eve", "job-2", spec("work"))
        office.settle()
        return asked(office, "job-3", "zoe", "one")

    office = happen()
    assert (ends(office, "job-2"), ends(office, "job-3")) == (["task_copied"], ["task_completed"])
    assert list(violations(office)) == []
    with mutations.proofs_shared_by_owners():
        office = happen()
    assert ends(office, "job-3") == ["task_copied"]
    assert [violation.invariant for violation in violations(office)] == [6]


def test_the_audit_takes_a_proof_for_the_receivers_where_what_asked_for_it_is_trimmed() -> None:
    office = asked(town("ada", "eve"), "job-1", "ada", "one", share="by_inputs")
    asked(office, "job-2", "eve", "two")
    place = Place(Topic.WORK, 0)
    office.log.trim(place, office.log.end(place))
    assert ends(office, "job-2") == ["task_copied"]
    assert list(violations(office)) == []


def test_the_audit_finds_one_of_two_that_are_open_and_differ_given_for_a_proof() -> None:
    def happen() -> Office:
        office = town("ada", "dan", "zoe")
        office.proves = lambda ready: ready.prove == "zoe"
        asked(office, "job-1", "ada", "one", share="by_inputs")
        asked(office, "job-2", "dan", "two", share="by_inputs")
        return asked(office, "job-3", "zoe", "three")

    office = happen()
    assert (ends(office, "job-3"), list(violations(office))) == (["task_completed"], [])
    with mutations.proofs_of_one_entry():
        office = happen()
    assert ends(office, "job-3") == ["task_copied"]
    assert [violation.invariant for violation in violations(office)] == [7]
