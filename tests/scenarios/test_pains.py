"""What users of comparable systems ran into, told as stories here: each would end badly where it was reported.

The numbers are those of the projects' own issue trackers.
"""

import msgspec
import pytest

from readmodel.differences import differences
from schemas import claims as c
from schemas.facts import Granted, Promoted, Redecided, Waiting
from schemas.tasks import TaskCopied
from tests.support import mutations
from tests.support.scene import FP, Scene, digest, task_spec


def fails_under(mutation, story) -> None:
    """The story ends well by the rules, and badly by the simpler rule of the system it is reported of."""
    story()
    with mutation(), pytest.raises(AssertionError):
        story()


def scene(**config: int) -> Scene:
    return Scene(**config).users("ada", "bob")


def test_a_hit_whose_output_is_gone_is_no_hit():
    """Flyte 4672 and 5918, Prefect 8892, bazel-remote 106: the entry is there, what it points to is not, the job fails.

    bazel-remote 54, of which no more than its number could be read, is taken for the same.
    """

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

    def story() -> None:
        s = scene().asks("ada", "t1").asks("ada", "t2")
        told = [(waiting.task, waiting.token, waiting.kind) for waiting in s.all(Waiting)]
        assert told == [("t2", s.tokens["t1"], "execution")]

    fails_under(mutations.waiting_in_silence, story)


def test_two_that_ask_at_the_same_moment_run_once():
    """Flyte 872, Prefect 9970, Buildfarm 2556: tasks with the same inputs that start together all run."""

    def story() -> None:
        s = scene().asks("ada", "t1").asks("ada", "t2").asks("ada", "t3")
        assert [fates[0] for fates in s.fates.values()] == ["granted", "waiting", "waiting"]
        s.exits("t1")
        assert s.fate("t2") == s.fate("t3") == "copied"

    fails_under(mutations.nobody_waits, story)


def test_who_was_merged_into_an_execution_keeps_it_when_its_first_asker_leaves():
    """Buildfarm 2072: requests merged into one execution lose it when that ends for whoever asked first.

    BuildBuddy 5866, of which no more than its number could be read, is taken for the same.
    """

    def story() -> None:
        s = scene().asks("ada", "t1").starts("t1").asks("ada", "t2").asks("ada", "t3").withdraws("t1")
        assert [p.task for p in s.all(Promoted)] == ["t2"]
        s.exits("t2")
        assert (s.fate("t2"), s.fate("t3")) == ("completed", "copied")

    fails_under(mutations.work_is_its_first_askers, story)


def test_a_bad_output_is_taken_out_of_use_without_touching_the_workflow():
    """Arvados 15002: a container that exited well with a bad output is reused for ever."""

    def story() -> None:
        s = scene().asks("ada", "t1").exits("t1", output="bad")
        s.when(c.Invalidated(fingerprint=FP, token=s.tokens["t1"], reason="bad disk")).asks("ada", "t2")
        assert s.fate("t2") == "granted"
        s.exits("t2", output="good").asks("ada", "t3")
        assert [b.output for b in s.all(TaskCopied)] == ["good"]

    fails_under(mutations.judgements_ignored, story)


def test_what_was_done_with_less_memory_is_not_done_again():
    """Arvados 13102: a step that succeeded runs again because the request now names more memory."""

    def story() -> None:
        s = scene().asks("ada", "t1", memory=1_000).exits("t1").asks("ada", "t2", memory=2_000)
        assert s.fate("t2") == "copied"

    fails_under(mutations.resources_must_match, story)


def test_what_keeps_a_task_from_reuse_is_named():
    """Cromwell 1990, Nextflow 4894: a task that should have been reused runs again, and nothing says what differs."""

    def story() -> None:
        mine = text_of("1", b'{"k":21,"ref":{"build":38}}')
        earlier = text_of("2", b'{"k":21,"ref":{"build":37}}')
        [told] = differences(mine, "{}", earlier, "{}")
        assert (told.component, told.path, told.mine, told.other) == ("parameters", "ref.build", "38", "37")

    fails_under(mutations.only_digests_told, story)


def text_of(letter: str, parameters: bytes) -> str:
    """A task's description as the read model has it, with these parameters and their digest."""
    components = msgspec.structs.replace(task_spec().components, parameters=digest(letter))
    spec = task_spec(parameters=msgspec.Raw(parameters))
    return msgspec.json.encode(msgspec.structs.replace(spec, components=components)).decode()


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
