"""Users, groups and grants: over the API by who may, and by command."""

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from coordinator.machine import RULES_VERSION
from tests.support.api import Person, Site
from tests.support.crunch import one_line
from tests.support.procs import commands


@pytest.fixture
def boss(api_site: Site) -> Person:
    return api_site.person("boss", is_admin=True)


def test_an_admin_makes_users_and_lets_them_be_active_or_not(api_site: Site, boss: Person) -> None:
    made = boss.post("users", username="newbie")
    assert (made["username"], made["is_admin"], made["is_active"]) == ("newbie", False, True)
    newbie = Person(api_site, made["uuid"], api_site.token(made["uuid"]))
    assert newbie.get("users/current") == newbie.get(f"users/{made['uuid']}")
    assert boss.put(f"users/{made['uuid']}", is_active=False)["is_active"] is False
    assert newbie.ask("GET", "users/current").status_code == 401
    again = boss.put(f"users/{made['uuid']}", user={"is_active": True, "is_admin": True})
    assert (again["is_active"], again["is_admin"]) == (True, True)
    assert newbie.get("users", filters=[["uuid", "=", boss.uuid]])["items_available"] == 1
    newbie.session.close()


def test_of_two_changes_at_once_both_are_so(api_site: Site, boss: Person) -> None:
    changes: list[dict[str, Any]] = [{"is_active": False}, {"is_admin": True}]
    people = [Person(api_site, boss.uuid, boss.token) for _ in changes]

    def change(uuid: str, person: Person, said: dict[str, Any]) -> None:
        person.put(f"users/{uuid}", **said)

    with ThreadPoolExecutor(len(people)) as pool:
        for number in range(6):
            uuid = boss.post("users", username=f"changed-{number}")["uuid"]
            list(pool.map(change, [uuid] * 2, people, changes))
            now = boss.get(f"users/{uuid}")
            assert (now["is_active"], now["is_admin"]) == (False, True)
    for person in people:
        person.session.close()


@pytest.mark.parametrize(
    ("body", "named"),
    [({}, "name"), ({"username": "a b"}, "name"), ({"username": "boss"}, "username"), ({"username": 7}, "username")],
)
def test_a_user_that_can_not_be_is_refused(boss: Person, body: dict[str, Any], named: str) -> None:
    response = boss.ask("POST", "users", json=body)
    assert response.status_code == 422, response.text
    assert named in response.text


def test_others_make_and_change_no_users(api_site: Site, boss: Person) -> None:
    ada = api_site.person("ada")
    assert ada.ask("POST", "users", json={"username": "friend"}).status_code == 403
    assert ada.ask("PUT", f"users/{ada.uuid}", json={"is_admin": True}).status_code == 403
    assert ada.ask("PUT", f"users/{boss.uuid}", json={"is_admin": False}).status_code == 404
    assert ada.get("users/current")["is_admin"] is False


def test_a_groups_owner_gives_it_another_name(api_site: Site) -> None:
    ada, ben = api_site.person("ada"), api_site.person("ben")
    group = ada.post("groups", name="before")["uuid"]
    assert ada.put(f"groups/{group}", name="after")["name"] == "after"
    assert ada.get(f"groups/{group}")["owner_uuid"] == ada.uuid
    assert ada.ask("PUT", f"groups/{group}", json={"name": ""}).status_code == 422
    assert ben.ask("PUT", f"groups/{group}", json={"name": "mine"}).status_code == 404
    link = ada.post("links", link_class="permission", name="can_read", tail_uuid=ben.uuid, head_uuid=group)["uuid"]
    assert ben.ask("PUT", f"groups/{group}", json={"name": "mine"}).status_code == 403
    ada.delete(f"links/{link}")


def test_the_same_by_command(api_site: Site) -> None:
    run = api_site.crunch.run
    assert run("user", "add", "cleo").code == 0
    cleo = api_site.person("cleo")
    assert run("group", "add", "clan", "--owner", "cleo").code == 0
    api_site.person("ben")
    assert run("grant", "add", "ben", "clan").code == 0
    assert "  clan  of cleo\n" in run("group", "list").out
    assert "ben may read what clan owns\n" in run("grant", "list").out
    [clan] = [group["uuid"] for group in run("group", "list", "--json").json if group["name"] == "clan"]
    assert {"subject": api_site.person("ben").uuid, "object": clan} in run("grant", "list", "--json").json
    assert run("user", "disable", "cleo").code == 0
    assert "cleo  disabled" in run("user", "list").out
    assert cleo.ask("GET", "users/current").status_code == 401
    assert run("user", "enable", "cleo").code == 0
    assert cleo.get("users/current")["username"] == "cleo"
    assert run("grant", "remove", "ben", "clan").code == 0
    refused = run("user", "disable", "nobody")
    assert refused.code == 3
    assert "nobody" in refused.err


def test_a_number_that_decisions_depend_on_is_set_by_command(api_site: Site) -> None:
    run = api_site.crunch.run
    told = {one["name"]: one for one in run("setting", "list", "--json").json}
    assert told["max_depth"]["about"] == "generations of tasks below a job's first"
    assert run("setting", "set", "max_depth", "31").code == 0
    api_site.crunch.until(lambda _: "max_depth = 31 (default: 32)" in run("setting", "list").out or None)
    assert run("setting", "set", "max_depth", str(told["max_depth"]["value"])).code == 0
    refused = run("setting", "set", "verify_rate", "10001")
    assert (refused.code, "verify_rate is from 0 to 10000, not 10001" in refused.err) == (3, True)
    unknown = run("setting", "set", "speed", "1")
    assert (unknown.code, "there is no 'speed'" in unknown.err) == (3, True)


def test_which_rules_decide_is_said_and_only_known_ones_are_set_as_the_page_of_operations_says(api_site: Site) -> None:
    run = api_site.crunch.run
    look, set_them = commands("Rules", "docs/operations.md")
    assert run(*look, "--json").json == {"decides": 1, "known": RULES_VERSION}
    done = run(*set_them)
    assert (done.code, done.out) == (0, "nothing to do: rules version 1 decides already\n")
    refused = run("setting", "rules", str(RULES_VERSION + 1))
    assert (refused.code, f"knows rules up to version {RULES_VERSION}" in one_line(refused)) == (3, True)
    assert run("setting", "rules", "0").code == 2
