"""A job's log and an explanation, word by word."""

import pytest

from readmodel.rows import Named
from readmodel.story import Told, sentence

ONE = Named(task="t1", root="j1", name="one")
NAMELESS = Named(task="t2", root="j1", name="")


@pytest.mark.parametrize(
    ("told", "said"),
    [
        (Told("running", "", 0, ""), "job running"),
        (Told("failed", "", 0, "permanent_failure"), "job failed: permanent failure"),
        (Told("granted", "align", 1, "first"), "align: granted"),
        (Told("granted", "align", 2, "retry"), "align: granted again, attempt 2"),
        (Told("granted", "align", 1, "conflict"), "align: granted, as the executions so far disagree"),
        (Told("waiting", "align", 0, "execution", whose=ONE), "align: waiting on one (t1)"),
        (Told("waiting", "align", 0, "execution", whose=NAMELESS), "align: waiting on t2"),
        (Told("waiting", "align", 0, "execution"), "align: waiting on another task"),
        (
            Told("waiting", "align", 0, "verification", whose=ONE),
            "align: waiting for a look whether the output of one (t1) is still there",
        ),
        (Told("promoted", "align"), "align: took over the execution it had waited on"),
        (Told("redecided", "align", whose=ONE), "align: no longer waiting on one (t1)"),
        (Told("impure", "align"), "align: no longer pure"),
        (Told("task_copied", "align", 1, source=ONE), "align: copied output from one (t1) and queued 1 task"),
        (Told("task_copied", "align", 0), "align: copied output from an earlier execution"),
        (Told("task_complete", "align", 2), "align: complete, queued 2 tasks"),
        (Told("task_failed", "align", 0, "out_of_memory"), "align: failed: out of memory"),
        (Told("task_cancelled", "align", 0, "cancelled"), "align: cancelled: cancelled"),
    ],
)
def test_each_line(told, said):
    assert sentence(told) == said
