"""Scripts as they were written for Crunch v1, each kind of them: how jobs go on and end, by crunch-job's rules."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.support.api import Person, Site
from tests.support.scripts import Scripts
from tests.support.sdk import run_sdk

pytestmark = pytest.mark.needs("git", "arvados-client")
FILES = {"a/one.txt": "short\n", "a/two.txt": "the longest line of all\nno\n", "b/three.txt": "middling one\n"}
SAVE = """
    import arvados.collection, json, sys
    made = arvados.collection.Collection()
    for name, text in json.loads(sys.argv[1]).items():
        with made.open(name, "w") as f:
            f.write(text)
    made.save_new()
    print(json.dumps(made.portable_data_hash()))
"""
READ = """
    import arvados, json, sys
    reader = arvados.CollectionReader(sys.argv[1])
    print(json.dumps({name: reader.open(name).read() for name in reader}))
"""


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def run_job(
    person: Person, scripts: Scripts, script: str, state: str = "Complete", **parameters: Any
) -> tuple[Any, dict[str, str]]:
    """The job when it has ended, in this state, and what its output holds."""
    job = scripts.ended(person, scripts.job(person, parameters, script=script)["uuid"])
    assert job["state"] == state, run_sdk(person, READ, job["log"])
    return job, run_sdk(person, READ, job["output"]) if job["output"] else {}


def tasks_of(person: Person, job: Any) -> list[Any]:
    return list(person.get("job_tasks", filters=[["job_uuid", "=", job["uuid"]]], order="qsequence")["items"])


def test_a_task_for_each_directory(ada: Person, scripts: Scripts) -> None:
    _, left = run_job(ada, scripts, "streams-of", input=run_sdk(ada, SAVE, json.dumps(FILES)))
    assert left == {"sizes.txt": "33 ./a\n13 ./b\n"}


def test_a_task_for_each_path_also_where_it_leaves_an_empty_file(ada: Person, scripts: Scripts) -> None:
    job, left = run_job(ada, scripts, "lines-with", input=run_sdk(ada, SAVE, json.dumps(FILES)), word="longest")
    assert left == {"one.txt": "", "two.txt": "the longest line of all\n", "three.txt": ""}
    paths = [task["parameters"]["input"].partition("/")[2] for task in tasks_of(ada, job)[1:]]
    assert paths == ["./a/one.txt", "./a/two.txt", "./b/three.txt"]


def test_map_and_reduce_with_a_level_that_reads_what_the_one_before_left(ada: Person, scripts: Scripts) -> None:
    job, left = run_job(ada, scripts, "map-and-reduce", input=run_sdk(ada, SAVE, json.dumps(FILES)))
    assert [task["sequence"] for task in tasks_of(ada, job)] == [0, 1, 1, 1, 2]
    assert left.pop("reduced.txt") == "the longest line of all\n"
    assert sorted(left.values()) == ["middling one\n", "short\n", "the longest line of all\n"]


def test_trees_of_tasks_run_level_by_level_and_their_output_is_in_tree_order(ada: Person, scripts: Scripts) -> None:
    job, left = run_job(ada, scripts, "tree-of-tasks", depth=2, width=2)
    assert job["tasks_summary"] == {"todo": 0, "running": 0, "done": 7, "failed": 0}
    names = [line.split()[1] for line in left["order.txt"].splitlines()]
    assert names == ["0", "0.0", "0.0.0", "0.0.1", "0.1", "0.1.0", "0.1.1"]
    tasks = tasks_of(ada, job)
    ended = {level: max(t["finished_at"] for t in tasks if t["sequence"] == level) for level in (0, 1)}
    for level in (1, 2):
        assert all(task["started_at"] >= ended[level - 1] for task in tasks if task["sequence"] == level)


@pytest.mark.parametrize(
    ("how", "state", "tries", "left"),
    [
        ("temporary", "Failed", 3, {}),
        ("temporary, twice", "Complete", 3, {"left.txt": "at try 3\n"}),
        ("permanent", "Failed", 1, {}),
        ("says nothing", "Failed", 1, {}),
        ("says it failed", "Failed", 1, {}),
        ("says it succeeded, exits with 1", "Complete", 1, {"left.txt": "all of it\n"}),
        ("leaves a part, then fails", "Failed", 1, {"left.txt": "a part\n"}),
        ("queues and fails once", "Complete", 2, {}),
        ("Keep fails once", "Complete", 2, {}),
    ],
)
def test_each_way_to_end(
    ada: Person, scripts: Scripts, tmp_path: Path, how: str, state: str, tries: int, left: dict[str, str]
) -> None:
    file = tmp_path / "tries"
    job, found = run_job(ada, scripts, "ways-to-fail", state, how=how, tries=str(file))
    assert (len(file.read_text()), found) == (tries, left), job["failed_because"]
    queued = [task["parameters"] for task in tasks_of(ada, job)[1:]]
    assert queued == ([{"of try": 2}] if how == "queues and fails once" else [])
