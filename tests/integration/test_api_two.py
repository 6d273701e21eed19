"""Two API processes on one system, its log in Postgres or in Kafka: a repeat is the same creation, and what one wrote
is read from the other."""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from typing import Any

import pytest

from streams.broker import LocalBroker
from tests.support.api import Person, Site, another_api, site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")
AGAIN = 8  # how often each creation is sent


class Both:
    """One person's way to both processes: `first` and `second` are the same person."""

    def __init__(self, site: Site, address: str, person: Person) -> None:
        self.first = person
        self.second = Person(site, person.uuid, person.token, address)

    @property
    def ways(self) -> tuple[Person, Person]:
        return self.first, self.second

    def close(self) -> None:
        self.second.session.close()


@pytest.fixture(scope="module", params=["postgres", pytest.param("kafka", marks=pytest.mark.needs("kafka"))])
def two_site(request: pytest.FixtureRequest) -> Iterator[Site]:
    """The system with the first process in it."""
    if request.param == "postgres":
        yield request.getfixturevalue("api_site")
        return
    broker: LocalBroker = request.getfixturevalue("kafka_broker")
    with site(settings={"kafka.servers": broker.servers, "kafka.prefix": "two-apis."}) as made:
        yield made


@pytest.fixture(scope="module")
def two_scripts(request: pytest.FixtureRequest, two_site: Site) -> Scripts:
    """Its repository."""
    shared: Site = request.getfixturevalue("api_site")
    return request.getfixturevalue("scripts") if two_site is shared else Scripts(two_site)


@pytest.fixture(scope="module")
def address(two_site: Site) -> Iterator[str]:
    """Of the second process."""
    with another_api(two_site) as (found, _):
        yield found


@pytest.fixture
def uma(two_site: Site, address: str) -> Iterator[Both]:
    made = Both(two_site, address, two_site.person("uma"))
    yield made
    made.close()


def repeated(both: Both, path: str, body: dict[str, Any], request_id: str) -> set[str]:
    """The uuids of what is created by sending one creation often, through both processes at once."""

    def post(number: int) -> str:
        with ExitStack() as stack:
            way = both.ways[number % 2]
            person = Person(way.site, way.uuid, way.token, way.address)
            stack.callback(person.session.close)
            response = person.ask("POST", path, json=body, headers={"X-Request-Id": request_id})
            assert response.status_code == 200, response.text
            return str(response.json()["uuid"])

    with ThreadPoolExecutor(AGAIN) as pool:
        return set(pool.map(post, range(AGAIN)))


def test_a_repeat_is_the_same_creation(uma: Both, two_scripts: Scripts) -> None:
    pipe = two_scripts.pipe("two")
    job = two_scripts.job(uma.first, {"wait": str(pipe)})["uuid"]
    running = two_scripts.running_task(uma.first, job)["uuid"]
    group = uma.first.post("groups", name="repeated grants")["uuid"]
    bodies = {
        "jobs": two_scripts.body({"mark": "once"}),
        "groups": {"name": "once"},
        "links": {"link_class": "permission", "name": "can_read", "tail_uuid": uma.first.uuid, "head_uuid": group},
        "collections": {"name": "once"},
        "logs": {"event_type": "once more"},
        "job_tasks": {"job_uuid": job, "sequence": 1, "parameters": {"wait": None}},
    }
    written = {"logs": {"filters": [["event_type", "=", "once more"]]}}  # the system writes of jobs meanwhile
    for path, body in bodies.items():
        asked = written.get(path, {})
        before = {one["uuid"] for one in uma.second.get(path, limit=1000, **asked)["items"]}
        [made] = repeated(uma, path, body, f"req-{path}")
        after = {one["uuid"] for one in uma.second.get(path, limit=1000, **asked)["items"]}
        first_task = {one["uuid"] for one in uma.first.get("jobs", filters=[["parent_job_uuid", "=", made]])["items"]}
        assert after - before - first_task == {made}, path
    child = bodies["job_tasks"] | {"created_by_job_task_uuid": running}
    [queued] = repeated(uma, "job_tasks", child, "req-child")
    uma.first.put(f"job_tasks/{running}", success=True)
    with open(pipe, "w"):
        """The running task goes on."""
    assert two_scripts.ended(uma.first, job)["state"] == "Complete"
    children = uma.second.get("job_tasks", filters=[["created_by_job_task_uuid", "=", running]])["items"]
    assert len(children) == 1, queued


def test_another_request_is_another_creation(uma: Both, two_scripts: Scripts) -> None:
    body = two_scripts.body({"mark": "not once"})
    made = {uma.first.ask("POST", "jobs", json=body, headers={"X-Request-Id": f"r{n}"}).json()["uuid"] for n in (1, 2)}
    made |= {way.ask("POST", "jobs", json=body).json()["uuid"] for way in uma.ways}
    other = body | {"description": "x"}
    made.add(uma.first.ask("POST", "jobs", json=other, headers={"X-Request-Id": "r1"}).json()["uuid"])
    assert len(made) == 5


def test_what_one_wrote_the_other_reads(two_site: Site, address: str, uma: Both, two_scripts: Scripts) -> None:
    vic = Both(two_site, address, two_site.person("vic"))
    pipe = two_scripts.pipe("read at once")
    for number in range(3):
        writer, reader = uma.ways[number % 2], uma.ways[1 - number % 2]
        group = writer.post("groups", name=f"seen {number}")["uuid"]
        assert reader.get(f"groups/{group}")["name"] == f"seen {number}"
        assert vic.second.ask("GET", f"groups/{group}").status_code == 404
        link = {"link_class": "permission", "name": "can_read", "tail_uuid": vic.first.uuid, "head_uuid": group}
        made = writer.post("links", **link)["uuid"]
        assert vic.ways[1 - number % 2].get(f"groups/{group}")["uuid"] == group
        reader.delete(f"links/{made}")
        assert vic.ways[number % 2].ask("GET", f"groups/{group}").status_code == 404
        thing = writer.post("collections", name=f"seen {number}")["uuid"]
        assert reader.put(f"collections/{thing}", description="x")["name"] == f"seen {number}"
        assert writer.get(f"collections/{thing}")["description"] == "x"
    job = uma.first.post("jobs", **two_scripts.body({"wait": str(pipe)}))["uuid"]
    assert uma.second.put(f"jobs/{job}", description="by the other")["uuid"] == job
    assert uma.first.get(f"jobs/{job}")["description"] == "by the other"
    task = two_scripts.running_task(uma.first, job)["uuid"]
    for number in range(1, 6):
        uma.ways[number % 2].put(f"job_tasks/{task}", progress=number / 10)
        assert uma.ways[1 - number % 2].get(f"job_tasks/{task}")["progress"] == number / 10
    said = uma.second.put(f"job_tasks/{task}", success=True, output="")
    assert (said["success"], said["progress"], said["finished_at"]) == (True, 0.5, None)
    assert uma.first.get(f"job_tasks/{task}")["success"] is True
    added = uma.second.post("job_tasks", job_uuid=job, sequence=1, parameters={"wait": None})["uuid"]
    assert uma.first.get(f"jobs/{job}")["tasks_summary"]["todo"] == 1
    assert uma.first.get(f"job_tasks/{added}")["sequence"] == 1
    assert uma.second.post(f"jobs/{job}/cancel")["state"] == "Cancelled"
    assert uma.first.get(f"jobs/{job}")["state"] == "Cancelled"
    vic.close()
