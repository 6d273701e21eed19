"""Two users submit an unmodified Crunch script through the SDK at one moment, its tasks declared pure by an operator.

They run once where the two may see each other, and twice where they may not: counted by the Docker engine itself.
"""

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest

from streams.broker import LocalBroker
from tests.support.api import Person, Site, site
from tests.support.crunch_image import crunch_image
from tests.support.engine import Engine
from tests.support.scripts import Scripts
from tests.support.sdk import run_sdk

pytestmark = pytest.mark.needs("git", "docker", "arvados-client")
FILES = {"first.txt": "one two three\n", "second.txt": "four five\nsix seven\n"}
TASKS = 1 + len(FILES)
SUBMIT = """
    import arvados, arvados.collection, json, sys
    files, image = json.loads(sys.argv[1]), sys.argv[2]
    made = arvados.collection.Collection()
    for name, text in files.items():
        with made.open(name, "w") as f:
            f.write(text)
    made.save_new(name="to count")
    print(json.dumps(arvados.api("v1").jobs().create(body={
        "script": "split-and-count", "script_version": "main", "repository": "scripts",
        "script_parameters": {"input": made.portable_data_hash()}, "runtime_constraints": {"docker_image": image},
    }).execute()))
"""
READ = """
    import arvados, json, sys
    reader = arvados.CollectionReader(sys.argv[1])
    print(json.dumps({name: reader.open(name).read() for name in reader}))
"""


@pytest.fixture(scope="module")
def image(docker_engine: str, python_image: str) -> Iterator[str]:
    with crunch_image(docker_engine, python_image) as name:
        yield name


@pytest.fixture(params=["embedded", pytest.param("kafka", marks=pytest.mark.needs("kafka"))])
def crunch_site(request: pytest.FixtureRequest, docker_engine: str, tmp_path: Path) -> Iterator[Site]:
    settings = {}
    if request.param == "kafka":
        broker: LocalBroker = request.getfixturevalue("kafka_broker")
        settings = {"kafka.servers": broker.servers, "kafka.prefix": "crunch-scripts."}
    with site(runner="docker", environment={"DOCKER_HOST": docker_engine}, settings=settings) as made:
        yield made


def both_at_once(scripts: Scripts, image: str, *people: Person) -> list[tuple[Person, Any]]:
    """Each one's job, when all have ended."""
    with ThreadPoolExecutor(len(people)) as pool:
        jobs = list(pool.map(lambda person: run_sdk(person, SUBMIT, json.dumps(FILES), image), people))
    ended = [scripts.ended(person, job["uuid"]) for person, job in zip(people, jobs, strict=True)]
    assert [job["state"] for job in ended] == ["Complete"] * len(people), ended
    return list(zip(people, ended, strict=True))


def states_of(person: Person, job: Any) -> list[str]:
    return [task["state"] for task in person.get("job_tasks", filters=[["job_uuid", "=", job["uuid"]]])["items"]]


def test_its_tasks_run_once_for_those_who_may_see_each_other(crunch_site: Site, image: str, docker_engine: str) -> None:
    scripts = Scripts(crunch_site, in_image=True)
    declared = crunch_site.crunch.run("repository", "assume-pure", "scripts", "split-and-count", "--commits", "main")
    assert declared.code == 0, declared.err
    ann, bob, cyd, dan = (crunch_site.person(name) for name in ("ann", "bob", "cyd", "dan"))
    for subject, thing in (("ann", "bob"), ("bob", "ann")):
        granted = crunch_site.crunch.run("grant", "add", subject, thing)
        assert granted.code == 0, granted.err
    with Engine(docker_engine) as engine:
        seen = both_at_once(scripts, image, ann, bob)
        assert engine.started() == TASKS
    assert sorted(state for who, job in seen for state in states_of(who, job)) == ["complete"] * 3 + ["copied"] * 3
    with Engine(docker_engine) as engine:
        unseen = both_at_once(scripts, image, cyd, dan)
        assert engine.started() == 2 * TASKS
    assert [state for who, job in unseen for state in states_of(who, job)] == ["complete"] * 6
    assert len({job["output"] for _, job in seen + unseen}) == 1
    counts = run_sdk(ann, READ, seen[0][1]["output"])
    assert counts == {"first.txt.count": "3 first.txt\n", "second.txt.count": "4 second.txt\n"}
