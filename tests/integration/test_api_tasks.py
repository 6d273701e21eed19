"""Scripts for Crunch v1 that know nothing but the Arvados SDK, run as jobs; and what a task's own token can do."""

import hashlib
import os

import pytest

from gateway.client import Client
from schemas.settings import PureAssumed
from schemas.topics import Topic
from tests.support.api import Person, Site
from tests.support.scripts import Scripts
from tests.support.sdk import run_sdk

pytestmark = pytest.mark.needs("git", "arvados-client")
FILES = {"a.txt": "one", "b.txt": "two", "c/d.txt": "three"}
SAVE = """
    import arvados.collection, json, sys
    made = arvados.collection.Collection()
    for name, text in json.loads(sys.argv[1]).items():
        with made.open(name, "w") as f:
            f.write(text)
    made.save_new(name=sys.argv[2])
    print(json.dumps(made.portable_data_hash()))
"""


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def saved(person: Person, files: dict[str, str], name: str) -> str:
    """The portable data hash of a new collection."""
    import json

    return str(run_sdk(person, SAVE, json.dumps(files), name))


def lines_of(person: Person, pdh: str) -> list[str]:
    """What the job's output says, through the SDK."""
    return list(
        run_sdk(
            person,
            """
            import arvados, json, sys
            reader = arvados.CollectionReader(sys.argv[1])
            print(json.dumps([f.read().decode() for f in [reader.open(n, "rb") for n in sorted(reader)]]))
            """,
            pdh,
        )
    )


def test_an_unmodified_script_splits_its_input_and_its_tasks_outputs_are_joined(ada: Person, scripts: Scripts) -> None:
    job = scripts.job(ada, {"input": saved(ada, FILES, "to hash")}, script="hash.py")
    ended = scripts.ended(ada, job["uuid"])
    asked = {"filters": [["job_uuid", "=", job["uuid"]]], "order": "qsequence"}
    tasks = ada.get("job_tasks", **asked)["items"]
    assert ended["state"] == "Complete", tasks
    assert [task["sequence"] for task in tasks] == [0, 1, 1, 1]
    assert {task["is_pure"] for task in tasks} == {False}
    assert "+A" in tasks[1]["parameters"]["input"]
    [text] = lines_of(ada, ended["output"])
    wanted = [f"{hashlib.md5(data.encode()).hexdigest()} {os.path.basename(name)}" for name, data in FILES.items()]
    assert text.splitlines() == wanted
