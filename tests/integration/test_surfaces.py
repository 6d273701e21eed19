"""One list of secrets, looked for on every surface: the API, pages and their JSON, the store, commands, metrics.

Two people and a group of theirs do things that nobody else may read, in an order drawn from a seed, with grants among
them, and one to an outsider that is taken back. Then the outsider asks for everything, by list, by filter and by name.
The same questions, asked by somebody who may read it all, must bring the secrets up: else they prove nothing.
"""

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from typing import Any, NamedTuple

import pytest

from gateway.client import Client
from gateway.pages.web import VIEWS
from gateway.people import group_uuid
from readmodel.sight import sight
from schemas.settings import GrantRemoved, GrantSet, GroupSet
from schemas.topics import Topic
from tests.support.api import Person, Site
from tests.support.crunch import done
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")
GROUP = "surface-vault"
LISTS = ("jobs", "job_tasks", "collections", "groups", "links", "logs", "repositories")
UNKNOWN = "zzzzz-8i9sb-000000000000000"


class Answer(NamedTuple):
    """What was said to a question, without the words that it repeats of it."""

    where: str
    text: str


class World:
    """What happened. `secrets`: every word that only insiders may learn; `jobs`, `tasks`, `prints`: some of these."""

    def __init__(self, site: Site, scripts: Scripts, file: Path, seed: int) -> None:
        self.site, self.scripts, self.file = site, scripts, file
        self.random = Random(seed)
        self.insiders = [site.person(name) for name in ("surface-ivo", "surface-ines")]
        self.outsider, self.reader = site.person("surface-olga"), site.person("surface-rita")
        self.jobs: list[str] = []
        self.tasks: list[dict[str, Any]] = []
        self.secrets: dict[str, None] = {}

    def secret(self) -> str:
        word = "".join(self.random.choice("bcdfghjkmnpqrstvwxz") for _ in range(20))
        self.secrets[word] = None
        return word

    def change(self, change: Any, is_so: Callable[[Client], bool]) -> None:
        """A change of settings, in effect when this returns."""
        with Client(self.site.crunch.session()) as client:
            client.ask(Topic.SETTINGS, change)
        self.site.crunch.until(lambda client: is_so(client) or None)

    def may_read(self, reader: Person, owner: str, *, is_so: bool = True) -> None:
        change = (GrantSet if is_so else GrantRemoved)(subject=reader.uuid, object=owner)
        self.change(change, lambda client: (owner in sight(client.rows, reader.uuid).owners) == is_so)

    def happens(self) -> None:
        """The insiders work, beside a grant to the outsider that is taken back before."""
        ivo, ines = self.insiders
        vault = group_uuid(GROUP)
        about = GroupSet(group=vault, name=GROUP, owner=ivo.uuid)
        self.change(about, lambda client: vault in sight(client.rows, ivo.uuid).owners)
        for owner in (ivo.uuid, ines.uuid, vault):
            self.may_read(self.reader, owner)
        self.may_read(self.outsider, ines.uuid)
        self.may_read(self.outsider, ines.uuid, is_so=False)
        steps = [lambda: self.may_read(ines, ivo.uuid), lambda: self.may_read(ivo, self.outsider.uuid)]
        steps += [lambda: self.works(ivo, ivo.uuid), lambda: self.works(ines, ines.uuid)]
        steps += [lambda: self.works(ivo, vault), lambda: self.works(ines, ines.uuid)]
        self.random.shuffle(steps)
        for step in steps:
            step()
        command = f"echo {self.random.getrandbits(60)} > $TASK_OUTPUT/x"  # which the outsider writes too
        self.file.write_text(json.dumps({"command": command, "is_pure": True}))
        root = self.site.crunch.submit(self.file, "--as", "surface-ivo")
        self.ended(ivo, root)

    def works(self, person: Person, owner: str) -> None:
        """Some work, and the same again, which is a copy."""
        more = {"is_pure": True, "job_parameters": ["all"], "owner_uuid": owner}
        said = {"mark": self.secret(), "write": self.secret()}
        for _ in range(self.random.choice((1, 2))):
            self.ended(person, self.scripts.job(person, said, **more)["uuid"])

    def ended(self, person: Person, root: str) -> None:
        job = self.scripts.ended(person, root)
        assert job["state"] == "Complete"
        [task] = person.get("job_tasks", filters=[["job_uuid", "=", root]])["items"]
        page = person.session.get(f"https://{person.address}/tasks/{task['uuid']}.json").json()
        self.jobs.append(root)
        self.tasks.append(page["task"])
        words = (root, task["uuid"], page["task"]["fingerprint"], page["task"]["token"], page["task"]["output"])
        self.secrets |= dict.fromkeys(filter(None, (*words, job["output"])))

    # --- Questions ----------------------------------------------------------------------------------------------------

    def by_list(self, person: Person) -> Iterator[Answer]:
        """What is shown to who names nothing."""
        for name in LISTS:
            yield Answer(f"list {name}", person.ask("GET", name, params={"limit": "1000"}).text)
        for view in VIEWS:
            if "{" not in view.path:
                for form in ("", ".json"):
                    address = f"https://{person.address}{view.path}{form}"
                    yield Answer(f"page {view.path}{form}", person.session.get(address).text)

    def by_name(self, person: Person) -> Iterator[Answer]:
        """What is shown to who has heard of a job, a task, a fingerprint or an output."""
        for root, task in zip(self.jobs, self.tasks, strict=True):
            uuid, output = task["task"], task["output"]
            paths = [f"jobs/{root}", f"jobs/{root}/explain", f"job_tasks/{uuid}", f"job_tasks/{uuid}/explain"]
            for path in (*paths, f"collections/{output}"):
                yield self._asked(person, f"arvados/v1/{path}", root, uuid, output)
            for path in (f"jobs/{root}", f"tasks/{uuid}", f"fingerprints/{task['fingerprint']}"):
                for form in ("", ".json"):
                    yield self._asked(person, path + form, root, uuid, task["fingerprint"])
            yield self._asked(person, f"tasks/{uuid}/output/out.txt", uuid)
            yield self._asked(person, output.partition("+")[0] + "+67", output.partition("+")[0])
            filtered = {"filters": json.dumps([["output", "=", output]])}
            for name in ("jobs", "job_tasks", "collections"):
                yield Answer(f"filter {name}", person.ask("GET", name, params=filtered).text.replace(output, ""))

    def _asked(self, person: Person, path: str, *said: str) -> Answer:
        text = person.session.get(f"https://{person.address}/{path}").text
        for word in said:
            text = text.replace(word, "")
        return Answer(f"GET {re.sub('|'.join(map(re.escape, said)), 'IT', path)}", text)

    def by_command(self, person: str) -> Iterator[Answer]:
        """What the command line says, all commands at once; what a question repeats is taken out."""
        root, task = self.jobs[-1], self.tasks[-1]["task"]
        commands = {
            "jobs": ("jobs", "--limit", "1000"),
            "job": ("job", root),
            "explain": ("explain", task),
            "cache ls": ("cache", "ls"),
            "dry run": ("submit", str(self.file), "--dry-run"),
        }
        running = {name: self.site.crunch.start(*words, "--as", person, "--json") for name, words in commands.items()}
        for name, process in running.items():
            said = done(process)
            yield Answer(name, (said.out + said.err).replace(root, "").replace(task, ""))

    def metrics(self) -> str:
        """What the process shows to whom it may concern."""
        address = self.site.up.ready["metrics"]
        return self.outsider.session.get(f"http://{address}/metrics").text

    def leaks(self, answers: Iterator[Answer]) -> dict[str, list[str]]:
        """Secrets, by where they were told."""
        found: dict[str, list[str]] = {}
        for answer in answers:
            if words := [word for word in self.secrets if word in answer.text]:
                found.setdefault(answer.where, []).extend(words)
        return found


def counted(person: Person) -> dict[str, Any]:
    """How much there is, as far as somebody is told. (How old a page is tells that something happened, not what.)"""
    lists = {name: person.get(name)["items_available"] for name in ("jobs", "job_tasks", "collections", "logs")}
    pages = ("/jobs", "/claims", "/hot", "/conflicts")
    told = {page: person.session.get(f"https://{person.address}{page}.json").json() for page in pages}
    return lists | {page: {name: value for name, value in data.items() if name != "age"} for page, data in told.items()}


def test_no_surface_tells_of_what_may_not_be_read(api_site: Site, scripts: Scripts, tmp_path: Path) -> None:
    world = World(api_site, scripts, tmp_path / "job.json", seed=20)
    before = counted(world.outsider)
    world.happens()
    assert len(world.secrets) > 30
    assert counted(world.outsider) == before, "not even how much there is"
    for asked in (world.by_list, world.by_name):
        assert world.leaks(asked(world.outsider)) == {}
    said = list(world.by_command("surface-olga"))
    assert world.leaks(iter(said)) == {}
    assert [answer.text.count("none_earlier") for answer in said if answer.where == "dry run"] == [1]
    metrics = world.metrics()
    assert "crunch_reuse_grants_total" in metrics
    assert world.leaks(iter([Answer("metrics", metrics)])) == {}
    absent = world.outsider.ask("GET", f"jobs/{UNKNOWN}").json()["errors"]
    for root in world.jobs:
        said = world.outsider.ask("GET", f"jobs/{root}").json()["errors"]
        assert said == absent, "it looks exactly like an unknown one"


def test_the_same_questions_tell_who_may_read(api_site: Site, scripts: Scripts, tmp_path: Path) -> None:
    world = World(api_site, scripts, tmp_path / "job.json", seed=21)
    world.happens()
    told = {*world.leaks(world.by_list(world.reader)), *world.leaks(world.by_name(world.reader))}
    said = list(world.by_command("surface-rita"))
    told |= {*world.leaks(iter(said))}
    assert ["private" in answer.text for answer in said if answer.where == "dry run"] == [True]
    assert {"list jobs", "list job_tasks", "page /jobs", "page /jobs.json"} <= told
    assert {"GET arvados/v1/jobs/IT", "GET arvados/v1/jobs/IT/explain"} <= told
    assert {"GET jobs/IT.json", "GET tasks/IT", "GET fingerprints/IT.json", "GET tasks/IT/output/out.txt"} <= told
    assert {"filter jobs", "jobs", "job", "explain", "cache ls"} <= told
