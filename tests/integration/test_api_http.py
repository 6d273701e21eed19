"""The API as HTTP: who may, what form a request can have, what becomes of bad ones. Never a 500, never a 409."""

import asyncio
import socket
import ssl
import stat
from typing import Any

import pytest
import requests
from starlette.requests import Request

from gateway.api.app import body_of
from gateway.api.errors import ApiError
from gateway.api.reference import reference
from gateway.api.schema import RESOURCES
from gateway.people import user_set
from readmodel import registry
from tests.conftest import CHECKOUT
from tests.support.api import Person, Site

FORM = {"Content-Type": "application/x-www-form-urlencoded"}


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


@pytest.fixture
def ben(api_site: Site) -> Person:
    return api_site.person("ben")


def errors_of(response: requests.Response, status: int) -> str:
    """The one text of an error in Arvados' form."""
    assert response.status_code == status, response.text
    body = response.json()
    assert set(body) == {"errors", "error_token"}
    return " ".join(body["errors"])


# --- Discovery, tokens ------------------------------------------------------------------------------------------------


def test_discovery_needs_no_token_and_tells_what_clients_read(api_site: Site, ada: Person) -> None:
    url = f"https://{api_site.address}/discovery/v1/apis/arvados/v1/rest"
    document = requests.Session().get(url, verify=str(api_site.certificate)).json()
    assert document["rootUrl"] == f"https://{api_site.address}/"
    assert document["servicePath"] == "arvados/v1/"
    for name, resource in document["resources"].items():
        for method in resource["methods"].values():
            assert method["id"].startswith(f"arvados.{name}.")
            assert method["response"]["$ref"] in document["schemas"]
            assert all({"type", "location"} <= parameter.keys() for parameter in method["parameters"].values())
            for field in method.get("request", {}).get("properties", {}).values():
                assert field["$ref"] in document["schemas"]
    assert set(document["resources"]) == set(RESOURCES)


@pytest.mark.parametrize("header", ["", "OAuth2 ", "OAuth2 nonsense", "Basic dXNlcjpwdw==", "Bearer", "OAuth2 ä"])
def test_nobody_is_told_to_log_in(api_site: Site, ada: Person, header: str) -> None:
    response = requests.Session().get(
        f"https://{api_site.address}/arvados/v1/users/current",
        headers={"Authorization": header.encode()},
        verify=str(api_site.certificate),
    )
    assert "Not logged in" in errors_of(response, 401)


def test_both_words_for_a_token_are_known(ada: Person) -> None:
    for word in ("OAuth2", "Bearer", "bearer"):
        headers = {"Authorization": f"{word} {ada.token}"}
        assert ada.ask("GET", "users/current", headers=headers).json()["uuid"] == ada.uuid


def test_a_token_that_expired_or_was_revoked_opens_nothing(api_site: Site, ada: Person) -> None:
    expired = Person(api_site, ada.uuid, api_site.token(ada.uuid, expires_at=registry.now_ms() - 1))
    errors_of(expired.ask("GET", "users/current"), 401)
    made = api_site.crunch.run("token", "create", "--user", "ada", "--label", "short", "--json").json
    person = Person(api_site, ada.uuid, made["token"])
    assert person.get("users/current")["username"] == "ada"
    assert made["uuid"] in api_site.crunch.run("token", "list").out
    assert api_site.crunch.run("token", "revoke", made["uuid"]).code == 0
    errors_of(person.ask("GET", "users/current"), 401)
    again = api_site.crunch.run("token", "revoke", made["uuid"])
    assert again.code == 3
    assert made["uuid"] in again.err
    for one in (expired, person):
        one.session.close()


def test_a_token_is_kept_as_a_digest_and_the_file_of_ones_own_is_private(api_site: Site, ada: Person) -> None:
    shown = api_site.crunch.run("token", "show", "--json").json
    assert shown["ARVADOS_API_HOST"] == api_site.address
    owner = Person(api_site, "", shown["ARVADOS_API_TOKEN"])
    assert owner.get("users/current")["is_active"]
    owner.session.close()
    folder = api_site.crunch.session().folders.api
    assert {stat.S_IMODE((folder / name).stat().st_mode) for name in ("token", "key.pem")} == {0o600}
    listed = api_site.crunch.run("token", "list", "--json").out
    assert ada.token not in listed
    assert shown["ARVADOS_API_TOKEN"] not in listed


def test_a_scoped_token_reaches_no_further(api_site: Site, ada: Person) -> None:
    scopes = ("GET /arvados/v1/users/current", "GET /arvados/v1/groups/")
    scoped = Person(api_site, ada.uuid, api_site.token(ada.uuid, scopes=scopes))
    assert scoped.get("users/current")["uuid"] == ada.uuid
    group = ada.post("groups", name="scoped")
    assert scoped.get(f"groups/{group['uuid']}")["name"] == "scoped"
    for verb, path in (("GET", "groups"), ("POST", "groups"), ("GET", "users"), ("DELETE", f"groups/{group['uuid']}")):
        assert "scopes" in errors_of(scoped.ask(verb, path), 403)
    url = f"https://{api_site.address}/d41d8cd98f00b204e9800998ecf8427e+0"
    assert "scopes" in errors_of(scoped.session.get(url), 403)
    scoped.session.close()


def test_an_inactive_user_is_nobody(api_site: Site) -> None:
    leaver = api_site.person("leaver")
    assert leaver.get("users/current")["is_active"]
    change = user_set("leaver")
    api_site.set_user(type(change)(user=change.user, name="leaver", is_active=False))
    errors_of(leaver.ask("GET", "users/current"), 401)


# --- Forms of a request -----------------------------------------------------------------------------------------------


def test_a_body_is_flat_or_wrapped_json_or_a_form(ada: Person) -> None:
    made = [
        ada.ask("POST", "groups", json={"name": "one", "unheard_of": 1}),
        ada.ask("POST", "groups", json={"group": {"name": "two", "group_class": "project"}}),
        ada.ask("POST", "groups", data={"group": '{"name":"three"}'}),
        ada.ask("POST", "groups", data={"name": "four"}),
        ada.ask("POST", "groups", params={"name": "five"}),
    ]
    assert [response.json()["name"] for response in made] == ["one", "two", "three", "four", "five"]
    wrapped = ada.ask("POST", "groups", json={"group": {"name": "six", "unheard_of": 1}})
    assert "unheard_of" in errors_of(wrapped, 422)


def test_a_method_can_be_overridden_in_a_post(ada: Person, ben: Person) -> None:
    filters = {"filters": f'[["uuid","=","{ada.uuid}"]]', "count": "none"}
    override = {"X-HTTP-Method-Override": "GET"}
    for response in (
        ada.ask("POST", "users", data=filters, headers=override),
        ada.ask("POST", "users", data=filters | {"_method": "GET"}),
        ada.ask("POST", "users", json={"_method": "GET", "filters": [["uuid", "=", ada.uuid]], "count": "none"}),
    ):
        assert [one["uuid"] for one in response.json()["items"]] == [ada.uuid], response.text
    errors_of(ada.ask("POST", "users", headers={"X-HTTP-Method-Override": "BREW"}), 422)


def test_the_same_request_twice_makes_one_thing(ada: Person) -> None:
    def made(**more: Any) -> str:
        headers = {"X-Request-Id": "req-1"} | more.pop("headers", {})
        return ada.ask("POST", "groups", json={"name": "once"} | more, headers=headers).json()["uuid"]

    assert made() == made()
    different = {
        made(),
        made(group_class="project"),
        made(headers={"X-Request-Id": "req-2"}),
        made(headers={"X-Request-Id": ""}),
    }
    assert len(different) == 4
    found = ada.get("groups", filters=[["name", "=", "once"]])
    assert found["items_available"] == 4


# --- Permissions ------------------------------------------------------------------------------------------------------


def test_a_grant_lets_one_read_and_taking_it_back_ends_that(ada: Person, ben: Person) -> None:
    group = ada.post("groups", name="shared lab")["uuid"]
    absent = errors_of(ben.ask("GET", f"groups/{group}"), 404)
    assert absent == errors_of(ben.ask("GET", "groups/zzzzz-j7d0g-aaaaaaaaaaaaaaa"), 404)
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": ben.uuid, "head_uuid": group}
    errors_of(ben.ask("POST", "links", json=link), 403)
    made = ada.post("links", **link)
    assert made["tail_uuid"] == ben.uuid
    assert ben.get(f"groups/{group}")["name"] == "shared lab"
    assert ben.get("links", filters=[["head_uuid", "=", group]])["items_available"] == 1
    errors_of(ben.ask("DELETE", f"links/{made['uuid']}"), 403)
    assert ada.delete(f"links/{made['uuid']}")["uuid"] == made["uuid"]
    errors_of(ben.ask("GET", f"groups/{group}"), 404)
    errors_of(ada.ask("GET", f"links/{made['uuid']}"), 404)


def test_who_owns_a_group_through_another_grants_it_too(ada: Person, ben: Person) -> None:
    outer = ada.post("groups", name="outer")["uuid"]
    middle = ada.post("groups", name="middle", owner_uuid=outer)["uuid"]
    inner = ada.post("groups", name="inner", owner_uuid=middle)["uuid"]
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": ben.uuid, "head_uuid": inner}
    made = ada.post("links", **link)
    assert made["head_uuid"] == inner
    assert ada.get("links", filters=[["head_uuid", "=", inner]])["items"] == [made]
    assert ben.get(f"groups/{inner}")["name"] == "inner"
    assert ada.delete(f"links/{made['uuid']}") == made
    errors_of(ben.ask("GET", f"groups/{inner}"), 404)
    other = ben.post("groups", name="ben's own")["uuid"]
    own = ben.post("links", **link | {"tail_uuid": ada.uuid, "head_uuid": other})["uuid"]
    assert ben.get(f"links/{own}")["uuid"] == own
    ben.delete(f"links/{own}")


def test_nobody_gives_things_to_another(ada: Person, ben: Person) -> None:
    errors_of(ada.ask("POST", "groups", json={"name": "gift", "owner_uuid": ben.uuid}), 403)
    errors_of(ada.ask("POST", "collections", json={"owner_uuid": ben.uuid}), 403)
    assert ada.ask("GET", f"users/{ben.uuid}").status_code == 404
    assert ben.uuid not in ada.ask("GET", "users", params={"limit": 1000}).text


# --- Bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("options", "named"),
    [
        ({"params": {"filters": "nonsense"}}, "filters"),
        ({"params": {"filters": '[["name"]]'}}, "filters"),
        ({"params": {"filters": '[["no_such","=","x"]]'}}, "no_such"),
        ({"params": {"filters": '[["name","sounds like","x"]]'}}, "sounds like"),
        ({"params": {"filters": '[["name","=",3]]'}}, "name"),
        ({"params": {"filters": '[["name\\"; drop table rm.users; --","=","x"]]'}}, "drop table"),
        ({"params": {"filters": '[["properties","=","x"]]'}}, "properties"),
        ({"params": {"filters": '[["created_at","<","yesterday"]]'}}, "created_at"),
        ({"params": {"filters": '[["name","in","x"]]'}}, "name"),
        ({"params": {"filters": '[["name","like","\\\\"]]'}}, "name"),
        ({"params": {"filters": "[[\"name\",\"=\",\"a\\u0000b\"]]"}}, "filters"),
        ({"params": {"filters": '[["name","=","\\ud800"]]'}}, "surrogate"),
        ({"params": b"name=%00"}, "NUL"),
        ({"params": {"order": "name; drop table rm.users"}}, "drop table"),
        ({"params": {"order": "no_such desc"}}, "no_such"),
        ({"params": {"order": '{"name":1}'}}, "order"),
        ({"params": {"order": "jobs.created_at"}}, "jobs.created_at"),
        ({"params": {"distinct": "true"}}, "distinct"),
        ({"params": {"select": '["no_such"]'}}, "no_such"),
        ({"params": {"limit": "-1"}}, "limit"),
        ({"params": {"limit": "many"}}, "limit"),
        ({"params": {"offset": "1e3"}}, "offset"),
        ({"params": {"count": "roughly"}}, "count"),
        ({"params": {"where": "[1]"}}, "where"),
        ({"params": b"name=%ff%fe"}, "UTF-8"),
        ({"data": b"\xff\xfe{}"}, "UTF-8"),
        ({"data": b'{"a":1,"a":2}'}, "twice"),
        ({"data": b'{"a":NaN}'}, "NaN"),
        ({"data": b"[1,2]"}, "object"),
        ({"data": b'{"a":'}, "JSON"),
        ({"data": b'{"a":' * 100_000}, "deep"),
        ({"data": b"a=1&" * 5_000, "headers": FORM}, "parameters"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named(ada: Person, options: dict[str, Any], named: str) -> None:
    said = errors_of(ada.ask("GET", "collections", **options), 422)
    assert named in said
    assert "rm.jobs" not in said
    assert str(CHECKOUT) not in said


@pytest.mark.parametrize(
    "path", ["", "nothing", "users/current/more", "users/..%2fgroups", "users/%2e%2e%2f%2e%2e%2fetc", "collections/x"]
)
def test_what_is_not_there_is_not_found(ada: Person, path: str) -> None:
    for verb in ("GET", "PATCH", "DELETE"):
        errors_of(ada.ask(verb, path), 404)


def test_too_large_a_body_is_refused_and_the_next_request_is_heard(ada: Person) -> None:
    said = errors_of(ada.ask("POST", "groups", data=b'{"name":"' + b"x" * 50_000_000 + b'"}'), 413)
    assert "larger" in said
    assert ada.get("users/current")["uuid"] == ada.uuid


def test_nobody_is_told_to_log_in_before_a_large_body_is_read(api_site: Site) -> None:
    host, _, port = api_site.address.partition(":")
    trusting = ssl.create_default_context(cafile=str(api_site.certificate))
    for size in (b"Content-Length: 1000000", b"Transfer-Encoding: chunked"):
        head = b"POST /arvados/v1/collections HTTP/1.1\r\nHost: x\r\nAuthorization: OAuth2 nonsense\r\n"
        with (
            socket.create_connection((host, int(port)), timeout=20) as plain,
            trusting.wrap_socket(plain, server_hostname=host) as talk,
        ):
            talk.sendall(head + size + b"\r\n\r\n")
            assert talk.recv(1000).startswith(b"HTTP/1.1 401 ")


def test_a_body_that_does_not_come_is_not_waited_for() -> None:
    async def never() -> Any:
        await asyncio.Event().wait()

    asked = Request({"type": "http", "method": "POST", "headers": []}, never)
    with pytest.raises(ApiError) as refused:
        asyncio.run(body_of(asked, 10, within=0.01))
    assert refused.value.status == 408


def test_a_client_that_hangs_up_or_talks_nonsense_disturbs_nobody(api_site: Site, ada: Person) -> None:
    host, _, port = api_site.address.partition(":")
    trusting = ssl.create_default_context(cafile=str(api_site.certificate))
    for said in (
        b"",
        b"nonsense\r\n\r\n",
        b"POST /arvados/v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n\r\n{",
    ):
        with (
            socket.create_connection((host, int(port))) as plain,
            trusting.wrap_socket(plain, server_hostname=host) as talk,
        ):
            talk.sendall(said)
    with socket.create_connection((host, int(port))) as plain:
        plain.sendall(b"GET / HTTP/1.1\r\n\r\n")  # no TLS
    assert ada.get("users/current")["uuid"] == ada.uuid


@pytest.mark.parametrize(
    ("said", "statuses"),
    [
        (b"GET /arvados/v1/users/\xff\xfe HTTP/1.1\r\nHost: x", (400,)),
        (b"GET /arvados/v1/users/%ff%fe HTTP/1.1\r\nHost: x", (401, 404)),
        (b"GET users/current HTTP/1.1\r\nHost: x", (400, 404)),
        (b"GET http://elsewhere/arvados/v1/users/current HTTP/1.1\r\nHost: x", (401,)),
        (b"GET http://elsewhere HTTP/1.1\r\nHost: x", (400,)),
        (b"OPTIONS * HTTP/1.1\r\nHost: x", (400, 404)),
        (b"CONNECT elsewhere:443 HTTP/1.1\r\nHost: x", (400, 404)),
        (b"BREW /arvados/v1/users HTTP/1.1\r\nHost: x", (400,)),
        (b"TRACE /arvados/v1/users/current HTTP/1.1\r\nHost: x", (401, 404)),
        (b"GET //arvados//v1//users//current HTTP/1.1\r\nHost: x", (401, 404)),
        (b"GET /arvados/v1/../../etc/passwd HTTP/1.1\r\nHost: x", (401, 404)),
        (b"GET /arvados/v1/users/current HTTP/1.1\r\nHost: x\r\nA\x00: b", (400,)),
        (b"GET /arvados/v1/users/current HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: upgrade", (401,)),
        (b"POST /arvados/v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: -1", (400,)),
        (b"POST /arvados/v1/groups HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\nContent-Length: 2", (400,)),
        (b"POST /arvados/v1/groups HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 2", (400,)),
    ],
)  # fmt: skip
def test_what_is_no_request_of_ours_is_refused(api_site: Site, said: bytes, statuses: tuple[int, ...]) -> None:
    host, _, port = api_site.address.partition(":")
    trusting = ssl.create_default_context(cafile=str(api_site.certificate))
    with (
        socket.create_connection((host, int(port)), timeout=20) as plain,
        trusting.wrap_socket(plain, server_hostname=host) as talk,
    ):
        talk.sendall(said + b"\r\n\r\n")
        reply = talk.recv(10_000)
    assert int(reply.split(b" ", 2)[1]) in statuses, reply
    assert b"Traceback" not in reply


def test_the_reference_is_that_of_the_table() -> None:
    assert (CHECKOUT / "docs" / "api-reference.md").read_text() == reference()
