"""A proof's token at the API: whether an owner may read these collections at this moment, and not one word more."""

import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests

from coordinator import prooftoken
from coordinator.prooftoken import Proof
from schemas.settings import UserSet
from tests.integration.test_api_keep import put
from tests.integration.test_api_tokens import EMPTY_BLOCK, endpoints
from tests.support.api import Person, Site
from tests.support.scripts import Scripts


class Prover:
    """Who holds the key of the site."""

    def __init__(self, site: Site) -> None:
        self.site = site
        self.key = bytes.fromhex((site.crunch.data / "task-token.key").read_text().strip())
        self.session = requests.Session()
        self.session.trust_env = False
        self.session.verify = str(site.certificate)

    def token(self, owner: str, *hashes: str, repository: str = "", lasts: int = 600) -> str:
        """A token that is good for so many seconds."""
        proof = Proof(owner=owner, repository=repository, hashes=hashes, expires_at=int(time.time()) + lasts)
        return prooftoken.sign(proof, self.key)

    def ask(self, token: str, verb: str, path: str, **options: Any) -> requests.Response:
        headers = {"Authorization": f"OAuth2 {token}"}
        return self.session.request(verb, f"https://{self.site.address}{path}", headers=headers, **options)

    def reads(self, token: str, pdh: str) -> int:
        return self.ask(token, "GET", f"/arvados/v1/collections/{pdh}").status_code


@pytest.fixture
def prover(api_site: Site) -> Iterator[Prover]:
    made = Prover(api_site)
    yield made
    made.session.close()


def collection(person: Person, text: str, name: str = "file") -> Any:
    """A collection of one file that is the person's."""
    return person.post("collections", manifest_text=f". {put(person, text.encode())} 0:{len(text)}:{name}\n")


def shares(owner: Person, reader: Person) -> str:
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": reader.uuid, "head_uuid": owner.uuid}
    return str(owner.post("links", **link)["uuid"])


def test_it_is_told_what_its_owner_may_read_at_that_moment(api_site: Site, prover: Prover) -> None:
    olga, pete = api_site.person("olga"), api_site.person("pete")
    hers, his = collection(olga, "olga's"), collection(pete, "pete's")
    pdh = hers["portable_data_hash"]
    token = prover.token(pete.uuid, pdh, his["portable_data_hash"], f"{EMPTY_BLOCK}+0")
    assert prover.reads(token, his["portable_data_hash"]) == prover.reads(token, f"{EMPTY_BLOCK}+0") == 200
    assert prover.reads(token, pdh) == 404
    link = shares(olga, pete)
    reply = prover.ask(token, "GET", f"/arvados/v1/collections/{pdh}")
    assert (reply.status_code, reply.json()) == (200, {"portable_data_hash": pdh})
    olga.delete(f"links/{link}")
    assert prover.reads(token, pdh) == 404
    own = collection(pete, "olga's")
    assert own["portable_data_hash"] == pdh
    assert prover.reads(token, pdh) == 200
    pete.delete(f"collections/{own['uuid']}")
    assert prover.reads(token, pdh) == 404


def test_no_other_endpoint_is_open_to_it(api_site: Site, prover: Prover) -> None:
    quin = api_site.person("quin")
    made = collection(quin, "quin's")
    pdh, other = made["portable_data_hash"], collection(quin, "quin's other")["portable_data_hash"]
    token = prover.token(quin.uuid, pdh)
    document = prover.session.get(f"https://{api_site.address}/discovery/v1/apis/arvados/v1/rest").json()
    uuid = f"zzzzz-8i9sb-{15 * '0'}"
    objects = dict.fromkeys(document["resources"], uuid) | {"collections": made["uuid"], "users": quin.uuid}
    asked = list(endpoints(document, objects))
    asked += [one._replace(path=one.path.replace(made["uuid"], pdh)) for one in asked]
    for verb, path, _ in asked:
        if (verb, path) != ("GET", f"/arvados/v1/collections/{pdh}"):
            reply = prover.ask(token, verb, path)
            assert reply.status_code == 403, (verb, path, reply.text)
    block = made["manifest_text"].split()[1]
    for verb, path in (("GET", f"/{block}"), ("HEAD", f"/{block}"), ("GET", f"/arvados/v1/collections/{other}")):
        assert prover.ask(token, verb, path).status_code == 403, path
    assert prover.ask(token, "GET", "/jobs").status_code in (401, 403)
    for override in ({"_method": "DELETE"}, {"_method": "PUT"}):
        assert prover.ask(token, "POST", f"/arvados/v1/collections/{pdh}", params=override).status_code == 403
    assert quin.get(f"collections/{made['uuid']}")["uuid"] == made["uuid"]


def test_it_is_nobodys_after_its_time_or_without_its_owner(api_site: Site, prover: Prover) -> None:
    rita, ruth = api_site.person("rita"), api_site.person("ruth")
    pdh = collection(rita, "rita's")["portable_data_hash"]
    assert prover.reads(prover.token(rita.uuid, pdh), pdh) == 200
    assert prover.reads(prover.token(ruth.uuid, pdh), pdh) == 404
    assert prover.reads(prover.token(rita.uuid, pdh, lasts=0), pdh) == 401
    assert prover.reads(prover.token(rita.uuid, pdh) + "x", pdh) == 401
    api_site.set_user(UserSet(user=rita.uuid, name="rita", is_active=False))
    assert prover.reads(prover.token(rita.uuid, pdh), pdh) == 401


def test_a_group_reads_what_it_owns(api_site: Site, prover: Prover) -> None:
    sara = api_site.person("sara")
    group = sara.post("groups", name="of sara")["uuid"]
    text = f". {put(sara, b'of a group')} 0:10:file\n"
    pdh = sara.post("collections", manifest_text=text, owner_uuid=group)["portable_data_hash"]
    alone = collection(sara, "sara's alone")["portable_data_hash"]
    token = prover.token(group, pdh, alone)
    assert (prover.reads(token, pdh), prover.reads(token, alone)) == (200, 404)


@pytest.mark.needs("git")
def test_a_repository_that_the_owner_may_not_read_proves_nothing(
    api_site: Site, prover: Prover, scripts: Scripts
) -> None:
    theo, una = api_site.person("theo"), api_site.person("una")
    assert api_site.crunch.run("repository", "add", "of-theo", str(scripts.folder), "--owner", "theo").code == 0
    empty = f"{EMPTY_BLOCK}+0"
    for owner, repository, status in (
        (theo, "of-theo", 200), (una, "of-theo", 403), (una, "scripts", 200), (una, "unknown", 403),
    ):  # fmt: skip
        assert prover.reads(prover.token(owner.uuid, empty, repository=repository), empty) == status


@pytest.mark.needs("git")
def test_a_part_is_read_by_who_may_read_the_whole_now(api_site: Site, prover: Prover, scripts: Scripts) -> None:
    vera, wim = api_site.person("vera"), api_site.person("wim")
    locator = put(vera, b"partwhole")
    whole = vera.post("collections", manifest_text=f". {locator} 0:4:part 4:5:rest\n")
    link = shares(vera, wim)
    job = scripts.job(wim, {"input": f"{whole['portable_data_hash']}/part"})
    part = job["script_parameters"]["input"].partition("/")[0]
    assert part != whole["portable_data_hash"]
    token = prover.token(wim.uuid, part)
    assert prover.reads(token, part) == 200
    vera.delete(f"links/{link}")
    assert wim.get(f"collections/{part}")["portable_data_hash"] == part, "that was said for a job of his own"
    assert prover.reads(token, part) == 404
    assert prover.reads(prover.token(vera.uuid, part), part) == 200
