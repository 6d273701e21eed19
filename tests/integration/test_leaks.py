"""Whether time tells what words do not: an unknown uuid and somebody else's, asked in turn, a fixed number of times.

The statistic is how often somebody else's takes longer than an unknown one, over all pairs: a half where nobody can
tell. It takes ranks, not milliseconds, and the two are asked in turn, so that a busy machine disturbs both alike; and
of a few times that each is asked it takes the shortest, which a busy machine disturbs least.

The same questions are asked where the product leaks, as people build it who do not think of it: the answer is worked
out, and then it is asked whether it may be shown. That has to be seen, in this process and through the API of another.
"""

import time

import pytest

from coordinator.ids import first_task_uuid
from readmodel import explain
from tests.support.api import Person, another_api
from tests.support.mutations import explained_before_asked
from tests.support.office import spec

SAMPLE = 50  # of each
SHORTEST_OF = 3
TELLING = 0.25  # a share further from a half tells them apart; chance alone strays by 0.058 (one standard deviation)
UNKNOWN = "zzzzz-8i9sb-aaaaaaaaaaaaaaa"


def seconds(ask, which):
    began = time.perf_counter()
    ask(which)
    return time.perf_counter() - began


def often_longer(ask, known, unknown):
    """How often asking for the one takes longer than for the other, over all pairs."""
    took = {known: [], unknown: []}
    for _ in range(SAMPLE):
        tries = [{which: seconds(ask, which) for which in (known, unknown)} for _ in range(SHORTEST_OF)]
        for which, all_ in took.items():
            all_.append(min(one[which] for one in tries))
    pairs = [(one > other) + (one == other) / 2 for one in took[known] for other in took[unknown]]
    return sum(pairs) / len(pairs)


def test_time_does_not_tell_somebody_elses_task_from_an_unknown_one(model):
    model.office.submit("ada", "job-1", spec("secret"))
    model.office.run()
    task = model.task("ada", "job-1").task

    def asked(uuid):
        assert explain.explain(model.connection, "eve", uuid) is None

    assert abs(often_longer(asked, task, UNKNOWN) - 0.5) < TELLING
    with explained_before_asked():
        assert abs(often_longer(asked, task, UNKNOWN) - 0.5) > TELLING


@pytest.mark.needs("git")
def test_time_does_not_tell_somebody_elses_task_from_an_unknown_one_over_the_api(api_site, scripts):
    ada, eve = api_site.person("leak-ada"), api_site.person("leak-eve")
    job = scripts.job(ada, {"write": "leak"})["uuid"]
    scripts.ended(ada, job)
    assert ada.get(f"jobs/{job}/explain")["task"]["task"] == first_task_uuid(job)

    def told_apart(person):
        def asked(uuid):
            assert person.ask("GET", f"jobs/{uuid}/explain").status_code == 404

        return abs(often_longer(asked, job, UNKNOWN) - 0.5) > TELLING

    assert not told_apart(eve)
    with another_api(api_site, "tests.support.mutant", explained_before_asked.__name__) as (address, _):
        leaky = Person(api_site, eve.uuid, eve.token, address)
        with leaky.session:
            assert told_apart(leaky)
