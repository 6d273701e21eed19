"""Attempts that were given up and end all the same: their outputs are never given, but tell something of the others."""

import pytest

from schemas import claims as c
from schemas.facts import Disagreed, ExecutionChanged, Granted, Kept
from schemas.reasons import Outcome, Reason
from schemas.tasks import TaskCopied
from tests.support.scene import FP, Scene


def scene(**config: int) -> Scene:
    return Scene(**config).users("ada", "bob", "cyd")


def late(when: str, zombie: str = "zombie", good: str = "good", **fields) -> Scene:
    """An execution that was given up and ends all the same, before or after the next attempt."""
    s = scene().asks("ada", "t1", **fields)
    old = s.tokens["t1"]
    s.loses("t1")
    if when == "after":
        return s.exits("t1", output=good).exits("t1", token=old, output=zombie)
    return s.exits("t1", token=old, output=zombie).exits("t1", output=good)


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_output_that_came_too_late_and_differs_is_a_disagreement_until_somebody_decides(when):
    s = late(when)
    [fact] = s.all(Disagreed)
    assert fact.outputs == ("zombie", "good")
    s.asks("ada", "t2")
    assert [g.why for g in s.all(Granted)] == ["conflict"]
    s = late(when).when(c.Released(fingerprint=FP)).asks("ada", "t2")
    assert [b.output for b in s.all(TaskCopied)] == ["good"]
    s = late(when)
    s.when(c.Invalidated(fingerprint=FP, keep=s.tokens["t1"])).asks("ada", "t2")
    assert [b.output for b in s.all(TaskCopied)] == ["good"]


@pytest.mark.parametrize("when", ["before", "after"])
def test_that_an_operator_kept_one_against_what_came_too_late_is_told_once(when):
    s = late(when)
    keep = c.Invalidated(fingerprint=FP, keep=s.tokens["t1"], reason="the node was broken")
    s.when(keep)
    assert s.all(Kept) == [Kept(fingerprint=FP, token=s.tokens["t1"], reason="the node was broken")]
    assert s.when(keep).answer() == (Outcome.NOTHING, Reason.UNKNOWN)
    assert s.all(Kept) == []


def test_whoever_waits_for_a_look_at_another_is_given_the_one_that_is_kept_and_told_so_first():
    s = late("after", good="one").when(c.Released(fingerprint=FP)).when(c.Aged(before=1000))
    s.asks("ada", "t2", refresh=True)
    zombie = s.tokens["t2"]
    s.loses("t2").exits("t2", output="two").exits("t2", token=zombie, output="zombie2")
    s.when(c.Invalidated(fingerprint=FP, keep=s.tokens["t2"]))
    told = [type(body) for body in s.sent if isinstance(body, Kept | ExecutionChanged)]
    assert told == [Kept, ExecutionChanged]
    assert [b.output for b in s.asks("ada", "t3").all(TaskCopied)] == ["two"]


@pytest.mark.parametrize("says", ["token", "nobody", "another"])
def test_where_no_late_word_is_overruled_nobody_is_said_to_be_kept(says):
    s = late("after", zombie="good") if says == "another" else late("after")
    fields = {"token": {"token": s.tokens["t1"]}, "nobody": {}, "another": {"keep": "unknown"}}[says]
    s.when(c.Invalidated(fingerprint=FP, **fields))
    assert s.all(Kept) == []


@pytest.mark.parametrize("when", ["before", "after"])
def test_an_output_that_came_too_late_and_is_the_same_changes_nothing(when):
    s = late(when, zombie="good")
    assert s.all(Disagreed) == []
    s.asks("ada", "t2")
    assert [b.output for b in s.all(TaskCopied)] == ["good"]


@pytest.mark.parametrize("fields", [{"by_record": True}, {"fingerprint": "impure:t1"}])
def test_late_words_that_can_not_be_compared_are_refused_and_no_more(fields):
    s = scene().asks("ada", "t1", **fields)
    about = {"fingerprint": fields.get("fingerprint", FP)}
    old = s.tokens["t1"]
    s.when(c.Lost(**about, token=old, node="n1"))
    s.when(c.Reported(**about, token=s.tokens["t1"], success=True))
    s.when(c.Exited(**about, token=s.tokens["t1"], node="n1", exit_code=0, output="good"))
    s.when(c.Exited(**about, token=old, node="n1", exit_code=0, output="zombie"))
    assert s.all(Disagreed) == []
    assert s.answer() == (Outcome.REFUSED, Reason.NOT_CURRENT)


def test_the_same_late_word_again_is_no_second_disagreement():
    s = late("after")
    assert s.all(Disagreed)
    s = late("before")
    assert len(s.all(Disagreed)) == 1
    s.when(c.Exited(fingerprint=FP, token="unknown", node="n1", exit_code=0, output="x"))
    assert s.all(Disagreed) == []


def reports(s: Scene, task: str, **fields) -> Scene:
    return s.when(c.Reported(fingerprint=FP, token=s.tokens[task], **fields))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("named_by", ["first", "second"])
def test_what_was_captured_is_not_compared_with_what_was_named(when, named_by):
    s = scene().asks("ada", "t1")
    old = s.tokens["t1"]
    if named_by == "first":
        reports(s, "t1", output="named", success=True)
    s.loses("t1")
    if when == "before":
        s.exits("t1", token=old, output="captured")
    if named_by == "second":
        reports(s, "t1", output="named", success=True)
    s.exits("t1", output="good")
    assert s.all(Disagreed) == []
    if when == "after":
        s.exits("t1", token=old, output="captured")
        assert s.answer() == (Outcome.REFUSED, Reason.NOT_CURRENT)
    assert s.all(Disagreed) == []
    s.asks("ada", "t2")
    assert s.fate("t2") == "copied"


def test_an_attempt_that_called_itself_a_failure_has_no_output_that_tells():
    s = scene().asks("ada", "t1")
    old = s.tokens["t1"]
    reports(s, "t1", success=False).loses("t1").exits("t1", output="good")
    s.exits("t1", token=old, output="half")
    assert s.answer() == (Outcome.REFUSED, Reason.NOT_CURRENT)
    assert s.asks("ada", "t2").fate("t2") == "copied"


def test_a_late_word_that_comes_again_does_not_revive_a_conflict_that_was_decided():
    s = scene().asks("ada", "t1")
    old = s.tokens["t1"]
    s.loses("t1").exits("t1", output="good").exits("t1", token=old, output="zombie")
    s.when(c.Invalidated(fingerprint=FP, keep=s.tokens["t1"]))
    s.exits("t1", token=old, output="zombie")
    assert s.all(Disagreed) == []
    assert s.asks("ada", "t2").fate("t2") == "copied"
