"""The audit works every fingerprint out again from what a request carries, and names the task where it is another."""

import msgspec
import pytest

from coordinator import taskspec
from coordinator.audit import Step
from coordinator.audit_digests import DigestsChecker
from coordinator.jobs import Jobs
from schemas.claims import Requested
from schemas.spec import TaskSpec
from schemas.tasks import JobSubmitted
from tests.support.catalogue import Catalogue
from tests.support.given import Given

PDH = "0123456789abcdef0123456789abcdef+12"
CATALOGUE = Catalogue(inputs={"reads": PDH})
JOB = {
    "command": ["sort", "-u"],
    "inputs": {"reads": "reads"},
    "outputs": ["sorted.txt"],
    "parameters": {"genome": "hg19", "k": 9, "share": 0.5, "nested": {"b": [1, 2], "a": None}},
    "is_pure": True,
}


def request(**changes: object) -> Requested:
    spec = taskspec.job(JOB | changes, resolver=CATALOGUE)
    jobs = Given(Jobs()).when(JobSubmitted(root="j1", owner="ada", request="r", spec=spec))
    (asked,) = jobs.bodies(Requested)
    return asked


def wrong(asked: Requested) -> list[str]:
    return [violation.text for violation in DigestsChecker().check(Step(7, "log.7.", asked, ()))]


def altered(asked: Requested, **fields: object) -> Requested:
    spec = msgspec.structs.replace(msgspec.json.decode(asked.spec, type=TaskSpec), **fields)
    return msgspec.structs.replace(asked, spec=msgspec.Raw(msgspec.json.encode(spec)))


@pytest.mark.parametrize("changes", [{}, {"job_parameters": ["k"]}, {"children": "forbid"}, {"verdict": "record"}])
def test_what_was_made_rightly_is_found_again(changes):
    assert wrong(request(**changes)) == []


def test_impure_work_has_no_fingerprint_to_find():
    assert wrong(request(is_pure=False)) == []


@pytest.mark.parametrize(
    "fields",
    [
        {"command": ("sort",)},
        {"script": "x"},
        {"verdict": "record"},
        {"parameters": msgspec.Raw(b'{"k":10}')},
        {"inputs": {"reads": PDH.replace("0", "1")}},
        {"outputs": ()},
    ],
)
def test_a_task_that_is_not_what_its_fingerprint_says_is_named(fields):
    asked = altered(request(), **fields)
    assert len(wrong(asked)) == 1
    assert asked.task in wrong(asked)[0]


def test_a_bound_parameter_that_is_not_what_the_fingerprint_says_is_named():
    asked = request()
    assert wrong(msgspec.structs.replace(asked, bound=msgspec.Raw(b'{"genome":"hg38"}')))
