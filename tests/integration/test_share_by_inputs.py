"""`share: by_inputs` in a whole system: who may read all inputs is given the output, and nobody else learns of it."""

import re
from collections.abc import Iterator
from typing import Any

import pytest

from tests.integration.test_api_keep import put
from tests.support.api import Person, Site, site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("bubblewrap", "git")
_UUID = re.compile(r"[a-z0-9]{5}-[a-z0-9]{5}-[a-z0-9]{15}|\S+\d{4}-\d\d-\d\dT\S+")


class Lab:
    """A system in which people share outputs, since what isolates its tasks holds them to their inputs."""

    def __init__(self, made: Site) -> None:
        self.site = made
        self.scripts = Scripts(made)

    def group(self, owner: Person, name: str, *readers: Person) -> str:
        """A group of the owner's, whose things these may read; nothing else of the owner's."""
        uuid = str(owner.post("groups", name=name)["uuid"])
        for reader in readers:
            self.share(owner, reader, uuid)
        return uuid

    def share(self, owner: Person, reader: Person, thing: str) -> str:
        link = {"link_class": "permission", "name": "can_read", "tail_uuid": reader.uuid, "head_uuid": thing}
        return str(owner.post("links", **link)["uuid"])

    def data(self, person: Person, text: str, owner: str = "") -> str:
        """A collection with a file; its portable data hash."""
        manifest = f". {put(person, text.encode())} 0:{len(text)}:file\n"
        made = person.post("collections", manifest_text=manifest, owner_uuid=owner or person.uuid)
        return str(made["portable_data_hash"])

    def job(self, person: Person, named: str, **more: Any) -> Any:
        """The first task of a job that names this, when the job is complete."""
        job = self.scripts.job(person, {"input": named, "write": "made"}, is_pure=True, **more)
        ended = self.scripts.ended(person, job["uuid"])
        assert ended["state"] == "Complete", ended
        [task] = person.get("job_tasks", filters=[["job_uuid", "=", job["uuid"]]])["items"]
        return task

    def explained(self, person: Person, task: Any) -> Any:
        return person.get(f"job_tasks/{task['uuid']}/explain")

    def told(self, person: Person, task: Any) -> tuple[Any, ...]:
        """All that a person is told of a task and its job, without what is another for each."""
        lines = person.get("logs", filters=[["object_uuid", "=", task["job_uuid"]]])["items"]
        log = sorted(line["properties"]["text"] for line in lines)  # of two machines: they have no order
        why = self.explained(person, task)["why_executed"]
        known = {name: task[name] for name in ("state", "success", "reused_from", "source_started_at", "is_pure")}
        return known, why, _UUID.sub("", str(log))


@pytest.fixture(scope="module")
def lab() -> Iterator[Lab]:
    with site(runner="bubblewrap") as made:
        yield Lab(made)


def test_it_is_given_to_who_may_read_all_inputs_and_to_nobody_else(lab: Lab) -> None:
    amy, bob, cyd, dan = (lab.site.person(name) for name in ("amy", "bob", "cyd", "dan"))
    data = lab.group(amy, "data", bob)
    pdh = lab.data(amy, "of amy", data)
    made = lab.job(amy, pdh, share="by_inputs")
    assert (made["state"], amy.get(f"jobs/{made['job_uuid']}")["share"]) == ("complete", "by_inputs")

    given = lab.job(bob, pdh)
    assert (given["state"], given["output"], given["reused_from"]) == ("copied", made["output"], None)
    told = lab.explained(bob, given)
    assert (told["how"], told["proved"], told["source"]) == ("reused", True, None)
    assert bob.ask("GET", f"jobs/{made['job_uuid']}").status_code == 404

    assert lab.data(dan, "of amy") == pdh
    assert lab.job(dan, pdh)["state"] == "copied", "a copy of one's own will do"

    alone = lab.job(cyd, lab.data(amy, "nobody has used this"))
    assert lab.told(cyd, lab.job(cyd, pdh)) == lab.told(cyd, alone)

    audit = lab.site.crunch.run("audit", "verify", "--json")
    assert audit.code == 0, audit.err


def test_a_right_that_was_taken_back_proves_nothing(lab: Lab) -> None:
    amy, eve = lab.site.person("amy"), lab.site.person("eve")
    data = lab.group(amy, "other data")
    first, second = lab.data(amy, "first", data), lab.data(amy, "second", data)
    made = [lab.job(amy, pdh, share="by_inputs") for pdh in (first, second)]
    link = lab.share(amy, eve, data)
    assert lab.job(eve, first)["state"] == "copied"
    amy.delete(f"links/{link}")
    assert lab.job(eve, second)["state"] == "complete"
    assert lab.job(eve, first)["output"] == made[0]["output"], "what she was given is hers"


def test_a_file_of_a_collection_is_proved_by_the_collection(lab: Lab) -> None:
    amy, fay = lab.site.person("amy"), lab.site.person("fay")
    data = lab.group(amy, "files", fay)
    text = f". {put(amy, b'twofiles')} 0:3:one 3:5:two\n"
    pdh = amy.post("collections", manifest_text=text, owner_uuid=data)["portable_data_hash"]
    assert lab.job(amy, f"{pdh}/one", share="by_inputs")["state"] == "complete"
    assert lab.job(fay, f"{pdh}/one")["state"] == "copied"
