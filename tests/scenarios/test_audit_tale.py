"""A task's whole story: what it takes to understand what became of it, and nothing of others."""

import json

import pytest

from schemas.settings import GroupSet
from schemas.topics import Topic
from streams.past import OutsideTheLog
from streams.tale import tell
from tests.support.office import Office, spec


@pytest.fixture
def office():
    """ben's job waits on ada's, which fails once and queues a child; eve's is about something else."""
    office = Office()
    for name in ("ada", "ben", "eve"):
        office.user(name)
    office.may_read("ben", "ada")
    office.parents = set()
    child = spec("child", inputs="c", sequence=1)
    office.children = lambda ready: [child] if ready.fingerprint in office.parents else []
    office.submit("ada", "job-a", spec("one", inputs="x"))
    office.submit("ben", "job-b", spec("one", inputs="x"))
    office.submit("eve", "job-e", spec("other", inputs="y"))
    office.settle()
    office.parents = {ready.fingerprint for ready in office.read_work() if ready.root == "job-a"}
    office.run()
    office.say(Topic.SETTINGS, GroupSet(group="late", name="late", owner="eve"), 0)
    office.run()
    return office


def story(office, root):
    said = [fact for facts in office.facts().values() for fact in facts if getattr(fact, "root", "") == root]
    task = next(fact.task for fact in said if getattr(fact, "task", ""))
    return task, [json.loads(line) for line in tell(office.log, task)]


def kinds(lines):
    return [(line["place"].split("/")[0], line["record"]["body"]["type"]) for line in lines]


def test_a_copy_tells_of_the_execution_that_it_comes_from(office):
    task, lines = story(office, "job-b")
    told = kinds(lines)
    for kind in [
        ("settings", "user_set"),
        ("settings", "grant_set"),
        ("claims", "forwarded"),
        ("tasks", "job_submitted"),
        ("claims", "requested"),
        ("facts", "granted"),
        ("facts", "waiting"),
        ("work", "ready"),
        ("assignments", "assigned"),
        ("work", "freed"),
        ("claims", "started"),
        ("claims", "child_queued"),
        ("claims", "exited"),
        ("tasks", "task_created"),
        ("tasks", "task_copied"),
        ("facts", "reused"),
        ("facts", "answered"),
    ]:
        assert kind in told, kind
    requested = {line["record"]["body"]["task"] for line in lines if line["record"]["body"]["type"] == "requested"}
    assert requested == {task, *(ready.task for ready in office.read_work() if ready.fingerprint in office.parents)}


def test_it_tells_nothing_of_others_and_of_later_settings(office):
    _, lines = story(office, "job-b")
    text = json.dumps(lines)
    assert "job-e" not in text
    assert '"late"' not in text


def test_what_follows_from_another_record_names_it_and_comes_after_it(office):
    task, lines = story(office, "job-b")
    told = [f"{line['place']} offset {line['offset']}" for line in lines]
    mine = [number for number, line in enumerate(lines) if line["record"]["body"].get("task") == task]
    follows = [number for number in mine if lines[number]["because"]]
    assert len(follows) > 5
    for number in follows:
        assert lines[number]["because"].rsplit(",", 1)[0] in told[:number], lines[number]
    assert [line["time"] for line in lines] == sorted(line["time"] for line in lines)


def test_a_task_that_nobody_knows(office):
    with pytest.raises(OutsideTheLog, match="no task 'nobody' is in the log"):
        next(tell(office.log, "nobody"))
