"""Tokens on each endpoint, generated from the discovery document: expired, revoked, of nobody, foreign and scoped."""

from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
import requests

from readmodel import registry
from schemas.settings import UserSet
from tests.support.api import Person, Site
from tests.support.scripts import Scripts

pytestmark = pytest.mark.needs("git")
EMPTY_BLOCK = "d41d8cd98f00b204e9800998ecf8427e"


class Endpoint(NamedTuple):
    """A request that its owner may make; `names` whether its path names an object of theirs."""

    verb: str
    path: str
    names: bool


class Things(NamedTuple):
    """Ada's: an object of each resource, by the resource's name; and the endpoints, those of Keep too."""

    site: Site
    ada: Person
    objects: dict[str, str]
    endpoints: list[Endpoint]

    def ask(self, endpoint: Endpoint, token: str) -> requests.Response:
        """The request, bare of a body, with this token."""
        headers = {"Authorization": f"OAuth2 {token}"}
        url = f"https://{self.site.address}{endpoint.path}"
        return self.ada.session.request(endpoint.verb, url, headers=headers)


def endpoints(document: dict[str, Any], objects: dict[str, str]) -> Iterator[Endpoint]:
    for name, resource in document["resources"].items():
        for method in resource["methods"].values():
            path = method["path"].replace("{uuid}", objects.get(name, ""))
            yield Endpoint(method["httpMethod"], f"/arvados/v1/{path}", "{uuid}" in method["path"])
    yield Endpoint("PUT", f"/{EMPTY_BLOCK}", names=False)
    yield from (Endpoint(verb, f"/{EMPTY_BLOCK}+0", names=False) for verb in ("GET", "HEAD"))


@pytest.fixture(scope="module")
def things(api_site: Site, scripts: Scripts) -> Things:
    ada = api_site.person("tess")
    group = ada.post("groups", name="of tess")["uuid"]
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": ada.uuid, "head_uuid": group}
    assert api_site.crunch.run("repository", "add", "of-tess", str(scripts.folder), "--owner", "tess").code == 0
    job = scripts.ended(ada, scripts.job(ada)["uuid"])["uuid"]
    objects = {
        "users": ada.uuid,
        "groups": group,
        "links": ada.post("links", **link)["uuid"],
        "collections": ada.post("collections", name="of tess")["uuid"],
        "repositories": ada.get("repositories", filters=[["name", "=", "of-tess"]])["items"][0]["uuid"],
        "jobs": job,
        "job_tasks": ada.get("job_tasks", filters=[["job_uuid", "=", job]])["items"][0]["uuid"],
        "logs": ada.post("logs", event_type="note")["uuid"],
    }
    url = f"https://{api_site.address}/discovery/v1/apis/arvados/v1/rest"
    document = ada.session.get(url).json()
    assert {name for name, one in document["resources"].items() if "get" in one["methods"]} == set(objects)
    return Things(api_site, ada, objects, list(endpoints(document, objects)))


def test_who_is_nobody_is_told_so_everywhere(api_site: Site, things: Things) -> None:
    gone = api_site.person("gone")
    revoked = api_site.crunch.run("token", "create", "--user", "tess", "--json").json
    assert api_site.crunch.run("token", "revoke", revoked["uuid"]).code == 0
    tokens = {
        "none": "",
        "unknown": registry.new_secret(),
        "expired": api_site.token(things.ada.uuid, expires_at=registry.now_ms() - 1),
        "revoked": revoked["token"],
        "of who left": gone.token,
        "like a task's": "a.b.c",
    }
    api_site.set_user(UserSet(user=gone.uuid, name="gone", is_active=False))
    for endpoint in things.endpoints:
        for kind, token in tokens.items():
            response = things.ask(endpoint, token)
            assert response.status_code == 401, (kind, endpoint, response.text)
            if endpoint.verb != "HEAD":
                assert response.json()["errors"] == ["Not logged in"]


def test_a_scope_opens_its_endpoint_and_no_other(things: Things) -> None:
    elsewhere = things.site.token(things.ada.uuid, scopes=("GET /arvados/v1/nowhere",))
    for endpoint in things.endpoints:
        refused = things.ask(endpoint, elsewhere)
        assert refused.status_code == 403, (endpoint, refused.text)
    for verb, path, _ in things.endpoints:
        if verb in ("GET", "HEAD"):
            own = things.site.token(things.ada.uuid, scopes=(f"{verb} {path}",))
            for other in things.endpoints:
                is_own = (other.verb, other.path) == (verb, path)
                if is_own or other.verb in ("PUT", "DELETE"):
                    reply = things.ask(other, own)
                    assert (reply.status_code != 403) == is_own, (verb, path, other, reply.text)


def test_what_is_anothers_is_as_if_it_were_not_there(api_site: Site, things: Things) -> None:
    stranger = api_site.person("stranger").token
    for endpoint in things.endpoints:
        if endpoint.names:
            uuid = next(uuid for uuid in things.objects.values() if uuid in endpoint.path)
            absent = endpoint._replace(path=endpoint.path.replace(uuid, uuid[:12] + "zzzzzzzzzzzzzzz"))
            foreign = things.ask(endpoint, stranger)
            assert foreign.status_code == 404, (endpoint, foreign.text)
            assert foreign.json()["errors"] == things.ask(absent, stranger).json()["errors"]
    for name, uuid in things.objects.items():
        listing = Endpoint("GET", f"/arvados/v1/{name}?limit=1000", names=False)
        assert uuid in things.ask(listing, things.ada.token).text, name
        assert uuid not in things.ask(listing, stranger).text, name
