"""A conflict one side of which is gone is undecided: so pages, explanations and dry runs say, and `cache rm` asks."""

import pytest

from readmodel import board
from readmodel.cache import disputed
from readmodel.forecast import forecast
from readmodel.telling import sentences
from schemas import claims as c
from schemas.spec import JobSpec
from schemas.topics import Topic
from tests.support.mishaps import is_looked_at, is_missing
from tests.support.office import spec


def submitted(model, owner, root, output, **fields):
    """What the owner's job comes to, where an execution of it has this output; its task."""
    model.office.exits = lambda ready: {"output": output}
    model.office.submit(owner, root, spec(root, **fields))
    model.office.run()
    return model.task(owner, root)


def lost(model):
    """Ada's output `one+1` is found to be gone, while there is another of hers."""
    office = model.office
    submitted(model, "ada", "job-1", "one+1")
    look = is_looked_at(office, "job-2", "waits")
    office.say(
        Topic.CLAIMS,
        c.Imported(fingerprint=look.fingerprint, task="old", root="job-old", owner="ada", output="other+1"),
    )
    is_missing(office, look)
    return look.entry


def removed(model):
    """Ada's output `one+1` is taken out to make room, while there is another of hers."""
    task = submitted(model, "ada", "job-1", "one+1")
    submitted(model, "ada", "job-2", "other+1", refresh=True)
    model.office.say(Topic.CLAIMS, c.Removed(fingerprint=task.fingerprint, token=task.token, reason="it is old"))
    model.office.run()
    return task.token


@pytest.mark.parametrize(("goes", "status"), [(lost, "missing"), (removed, "removed")])
def test_a_conflict_one_side_of_which_is_gone_is_open_until_somebody_decides(model, goes, status):
    token = goes(model)
    conflict = next(one for one in model.ask(board.conflicts, "ada", 10) if one.earlier.token == token)
    assert (conflict.earlier.status, conflict.later.status, conflict.is_open) == (status, "done", True)
    assert model.ask(disputed, "ada") == {conflict.fingerprint}
    assert model.ask(disputed, "eve") == set()
    [told] = model.ask(forecast, "ada", JobSpec(task=spec("again")), 2**45)
    assert (told.would, told.why[0].code) == ("execute", "conflict")
    assert submitted(model, "ada", "job-3", "other+1").state == "complete"
    explained = model.explained("ada", "job-3")
    assert [why.code for why in explained.why_executed if why.code != "done"] == ["conflict", status]
    assert [line for line in sentences(explained) if line.startswith("  one+1: ")] != []
    model.office.say(Topic.CLAIMS, c.Invalidated(fingerprint=conflict.fingerprint, keep=conflict.later.token))
    model.office.run()
    assert [one.is_open for one in model.ask(board.conflicts, "ada", 10)] == [False] * len(
        model.ask(board.conflicts, "ada", 10)
    )
    assert submitted(model, "ada", "job-4", "whatever+1").output == "other+1"


def test_what_is_gone_and_was_in_no_conflict_makes_none_of_what_comes_after(model):
    first = submitted(model, "ada", "job-1", "one+1")
    model.office.say(Topic.CLAIMS, c.Removed(fingerprint=first.fingerprint, token=first.token))
    submitted(model, "ada", "job-2", "other+1")
    [told] = model.ask(forecast, "ada", JobSpec(task=spec("again")), 2**45)
    assert told.would == "reuse"
    assert model.ask(disputed, "ada") == set()
    explained = model.explained("ada", "job-2")
    assert [why.code for why in explained.why_executed] == ["removed"]
    assert "was taken out of the cache" in explained.why_executed[0].text
