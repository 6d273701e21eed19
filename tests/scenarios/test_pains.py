"""What users of comparable systems ran into, told as stories here: each would end badly where it was reported.

The numbers are those of the projects' own issue trackers.
"""

import pytest

from schemas import claims as c
from schemas.facts import Granted, Promoted, Redecided, Waiting
from schemas.tasks import TaskCopied
from tests.support import mutations
from tests.support.scene import FP, Scene


def fails_under(mutation, story) -> None:
    """The story ends well by the rules, and badly by the simpler rule of the system it is reported of."""
    story()
    with mutation(), pytest.raises(AssertionError):
        story()


def scene(**config: int) -> Scene:
    return Scene(**config).users("ada", "bob")


def test_a_hit_whose_output_is_gone_is_no_hit():
    """Flyte 4672, Prefect 8892, bazel-remote 106: the entry is there, what it points to is not, and the job fails."""

    def story() -> None:
        s = scene().asks("ada", "t1").exits("t1").when(c.Aged(before=1000)).asks("ada", "t2")
        assert s.all(TaskCopied) == []
        look = s.verification()
        s.when(c.OutputMissing(fingerprint=FP, entry=look.entry, token=look.token, block="b+1"))
        assert s.fate("t2") == "granted"
        assert [r.task for r in s.all(Redecided)] == ["t2"]
        s.exits("t2").asks("ada", "t3")
        assert s.fate("t3") == "copied"

    fails_under(mutations.entries_never_looked_at, story)


def test_a_task_that_waits_on_another_says_so():
    """Flyte 5096: a task is pending because another is computing the same, and looks like any that is queued."""
    s = scene().asks("ada", "t1").asks("ada", "t2")
    [waiting] = s.all(Waiting)
    assert (waiting.task, waiting.token, waiting.kind) == ("t2", s.tokens["t1"], "execution")


def test_two_that_ask_at_the_same_moment_run_once():
    """Flyte 872: tasks with the same inputs that start together all run."""

    def story() -> None:
        s = scene().asks("ada", "t1").asks("ada", "t2").asks("ada", "t3")
        assert [fates[0] for fates in s.fates.values()] == ["granted", "waiting", "waiting"]
        s.exits("t1")
        assert s.fate("t2") == s.fate("t3") == "copied"

    fails_under(mutations.nobody_waits, story)


def test_who_was_merged_into_an_execution_keeps_it_when_its_first_asker_leaves():
    """Buildfarm 2072: requests merged into one execution lose it when that ends for whoever asked first."""

    def story() -> None:
        s = scene().asks("ada", "t1").starts("t1").asks("ada", "t2").asks("ada", "t3").withdraws("t1")
        assert [p.task for p in s.all(Promoted)] == ["t2"]
        s.exits("t2")
        assert (s.fate("t2"), s.fate("t3")) == ("completed", "copied")

    fails_under(mutations.work_is_its_first_askers, story)


def test_a_bad_output_is_taken_out_of_use_without_touching_the_workflow():
    """Arvados, "Preventing container reuse": a container that exited well with a bad output is reused for ever."""

    s = scene().asks("ada", "t1").exits("t1", output="bad")
    s.when(c.Invalidated(fingerprint=FP, token=s.tokens["t1"], reason="bad disk")).asks("ada", "t2")
    assert s.fate("t2") == "granted"
    s.exits("t2", output="good").asks("ada", "t3")
    assert [b.output for b in s.all(TaskCopied)] == ["good"]


def test_a_fresh_execution_can_be_asked_for_and_counts_from_then_on():
    """Flyte 2867: the only way past a cached result is to change the task's version."""
    s = scene().asks("ada", "t1").exits("t1").asks("ada", "t2", refresh=True)
    assert [g.why for g in s.all(Granted)] == ["refresh"]
    s.exits("t2").asks("ada", "t3")
    assert s.fate("t3") == "copied"


def test_two_outputs_for_one_thing_are_never_silently_one_of_them():
    """A cache that keeps whichever came first, or last, answers differently from one day to the next."""

    def story() -> None:
        s = (
            scene()
            .asks("ada", "t1")
            .exits("t1", output="one")
            .asks("ada", "t2", refresh=True)
            .exits("t2", output="two")
        )
        s.asks("ada", "t3")
        assert s.fate("t3") == "granted"
        s.when(c.Invalidated(fingerprint=FP, keep=s.tokens["t2"])).asks("ada", "t4")
        assert [b.output for b in s.all(TaskCopied)] == ["two"]

    fails_under(mutations.any_output_will_do, story)
