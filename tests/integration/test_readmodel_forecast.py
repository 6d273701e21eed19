"""What a dry run says would become of a job, and what then becomes of it."""

from collections import Counter
from contextlib import closing

import msgspec
import pytest

from consumers.projector import Projector
from readmodel import queries
from readmodel.connection import connect
from readmodel.forecast import forecast
from schemas import claims as c
from schemas.reasons import Failure
from schemas.spec import JobParameter, JobSpec, Resources
from schemas.topics import Topic
from streams.log import Place
from tests.support.model import with_children
from tests.support.office import COUNTS, Office, digest, spec
from tests.support.traffic import PEOPLE, Traffic

NOW = 2**45
GENOME = {"genome": "hg38", "n": 3}


def job(task, parameters=GENOME):
    bound = {
        name: JobParameter(value=msgspec.Raw(msgspec.json.encode(value)), digest=digest(str(value)))
        for name, value in parameters.items()
    }
    return JobSpec(task=task, parameters=bound)


def foretold(model, owner, task, parameters=GENOME):
    return model.ask(forecast, owner, job(task, parameters), NOW)


def test_what_was_done_would_be_copied_with_the_tasks_it_queued(model):
    office = model.office
    office.children = with_children(spec("b", inputs="b", sequence=1), spec("c", inputs="c", sequence=1))
    office.submit("ada", "job-1", spec("one"))
    office.run()
    said = foretold(model, "ada", spec("again"))
    assert [(one.name, one.depth, one.would) for one in said] == [
        ("again", 0, "reuse"),
        ("b", 1, "reuse"),
        ("c", 1, "reuse"),
    ]
    assert said[0].source.task == model.task("ada", "job-1").task
    [said] = foretold(model, "eve", spec("again"))
    assert (said.would, said.why[0].code, said.source, said.nearest) == ("execute", "none_earlier", None, ())


def test_a_child_that_names_a_parameter_of_the_job_is_bound_anew(model):
    office = model.office
    office.children = with_children(spec("b", inputs="b", sequence=1, job_parameters=("genome",)))
    office.submit("ada", "job-1", spec("one"), {"genome": "hg19"})
    office.run()
    assert [one.would for one in foretold(model, "ada", spec("one"), {"genome": "hg19"})] == ["reuse", "reuse"]
    _, child = foretold(model, "ada", spec("one"), {"genome": "hg38"})
    assert child.would == "execute"
    assert [near.components for near in child.nearest] == [("job_parameters",)]
    assert foretold(model, "ada", spec("one"), {})[1].why[0].code == "parameter_unset"


def test_what_runs_would_be_waited_on_if_it_is_large_enough(model):
    office = model.office
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    assert [one.would for one in foretold(model, "ada", spec("two"))] == ["wait"]
    [larger] = foretold(model, "ada", spec("two", resources=Resources(cores=2)))
    assert (larger.would, larger.why[0].code) == ("execute", "granted")


@pytest.mark.parametrize(
    ("fields", "code"),
    [
        ({"is_pure": False}, "not_pure"),
        ({"ineligible": "inputs.a: a path"}, "ineligible"),
        ({"no_reuse": True}, "no_reuse"),
        ({"refresh": True}, "refresh"),
    ],
)
def test_what_its_author_kept_from_reuse_would_be_executed(model, fields, code):
    model.office.submit("ada", "job-1", spec("one"))
    model.office.run()
    [said] = foretold(model, "ada", spec("two", **fields))
    assert (said.would, [why.code for why in said.why]) == ("execute", [code])


def places(office):
    return [Place(topic, number) for topic, count in COUNTS.items() for number in range(count)]


def test_it_claims_nothing_and_writes_nothing(model):
    model.office.run()
    before = {place: model.office.log.end(place) for place in places(model.office)}
    foretold(model, "ada", spec("one"))
    model.office.run()
    assert {place: model.office.log.end(place) for place in places(model.office)} == before
    assert model.ask(queries.jobs, "root") == []


def test_work_that_loses_nodes_would_be_refused_until_it_is_released(model):
    office = model.office
    office.number("quarantine_losses", 2)
    office.exits = lambda ready: {"exit_code": -1, "failure": Failure.NODE, "output": ""}
    office.submit("ada", "job-1", spec("one"))
    office.settle()
    fingerprint = model.task("ada", "job-1").fingerprint
    for _ in range(2):
        [execution] = [e for e in model.ask(queries.executions_of, "ada", fingerprint) if e.status == "granted"]
        office.say(Topic.CLAIMS, c.Lost(fingerprint=fingerprint, token=execution.token, node="n1"))
        office.settle()
    assert foretold(model, "ada", spec("two"))[0].why[0].code == "loses_nodes"
    office.say(Topic.CLAIMS, c.Released(fingerprint=fingerprint))
    office.settle()
    assert foretold(model, "ada", spec("two"))[0].would == "wait"


def becomes(task):
    """What the machines made of a first task, in the forecast's words."""
    if task.state in ("failed", "cancelled"):
        return "refuse"
    if task.state == "copied" or task.waiting_kind == "verification":
        return "reuse"
    return "wait" if task.waiting_kind else "execute"  # who has something to prove is not told that it waits


@pytest.mark.parametrize("seed", range(4))
def test_what_is_foretold_is_what_becomes_of_it(dsn, seed):
    office, came = Office(), Counter(execute=0, wait=0, reuse=0)
    traffic = Traffic(office, seed)
    traffic.settle_in()
    with closing(Projector(office.log, dsn)) as projector, closing(connect(dsn)) as connection:
        for round_ in range(200):
            if round_ >= 40 and all(came.values()):
                break
            for _ in range(8):
                traffic.happen()
            office.settle()
            projector.catch_up()
            owner, root = traffic.random.choice(PEOPLE), f"tried-{round_}"
            task = traffic.draw_spec(traffic.random.choice((0, 1)))
            said = forecast(connection, owner, job(task), NOW)
            office.submit(owner, root, task, GENOME)
            office.settle()
            projector.catch_up()
            first = queries.tree(connection, owner, root)[0]
            came[said[0].would] += 1
            became = becomes(first)
            if (said[0].would, became) == ("wait", "execute"):  # no fact says that no node is large enough for it
                waited_on = queries.task(connection, owner, said[0].source.task)
                became = "wait" if b'"cores":99' in waited_on.spec.encode() else became
            assert (said[0].would, root, task) == (became, root, task)
            if first.state == "copied":
                named = [t.name for t in queries.tree(connection, owner, root) if t.depth == 1]
                assert [one.name for one in said if one.depth == 1] == named
    assert min(came.values()) > 0, came
