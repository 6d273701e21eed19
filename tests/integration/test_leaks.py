"""Whether time tells what words do not: an unknown uuid and somebody else's, asked in turn, a fixed number of times.

The statistic is how often somebody else's takes longer than an unknown one, over all pairs: a half where nobody can
tell. It takes ranks, not milliseconds, and the two are asked in turn, so that a busy machine disturbs both alike.
"""

import time

from readmodel.explain import explain
from tests.support.office import spec

SAMPLE = 150  # of each
TELLING = 0.25  # a share further from a half tells them apart; chance alone strays by 0.034 (one standard deviation)


def often_longer(ask, known, unknown):
    """How often asking for the one takes longer than for the other, over all pairs."""
    took = {known: [], unknown: []}
    for turn in range(2 * SAMPLE):
        which = (known, unknown)[turn % 2]
        began = time.perf_counter()
        ask(which)
        took[which].append(time.perf_counter() - began)
    pairs = [(one > other) + (one == other) / 2 for one in took[known] for other in took[unknown]]
    return sum(pairs) / len(pairs)


def test_time_does_not_tell_somebody_elses_task_from_an_unknown_one(model):
    model.office.submit("ada", "job-1", spec("secret"))
    model.office.run()
    task = model.task("ada", "job-1").task
    unknown = "zzzzz-8i9sb-aaaaaaaaaaaaaaa"

    def asked(uuid):
        assert explain(model.connection, "eve", uuid) is None

    def leaky(uuid):
        """As who first works the answer out, and then asks whether it may be shown."""
        found = explain(model.connection, "root", uuid)
        assert found is None or found.task.owner != "eve"

    assert abs(often_longer(asked, task, unknown) - 0.5) < TELLING
    assert abs(often_longer(leaky, task, unknown) - 0.5) > TELLING
