"""Lists over HTTP: pages, orders, selections, of tables and of what stands in none."""

import time

import pytest

from gateway.api.narrow import is_like
from gateway.api.schema import RESOURCES
from tests.integration.test_api_http import errors_of
from tests.support.api import Person, Site


@pytest.fixture
def ada(api_site: Site) -> Person:
    return api_site.person("ada")


def test_pages_orders_and_selections(ada: Person) -> None:
    for name in ("page-c", "page-a", "page-b"):
        ada.post("groups", name=name)
    mine = {"filters": [["name", "like", "page-%"]]}
    assert [one["name"] for one in ada.get("groups", order="name", **mine)["items"]] == ["page-a", "page-b", "page-c"]
    page = ada.get("groups", order=["name desc"], limit="2", offset="1", **mine)
    assert [one["name"] for one in page["items"]] == ["page-b", "page-a"]
    assert (page["items_available"], page["limit"], page["offset"]) == (3, 2, 1)
    assert "items_available" not in ada.get("groups", count="none", **mine)
    assert ada.get("groups", limit="0", **mine)["items"] == []
    [first, *_] = ada.get("groups", select=["name"], **mine)["items"]
    assert set(first) == {"name", "kind"}
    assert ada.get("groups", where={"name": ["page-a", "page-c"]})["items_available"] == 2


def test_an_order_speaks_of_the_lists_own_attributes(ada: Person) -> None:
    for name in ("order-b", "order-a"):
        ada.post("groups", name=name)
    mine = {"filters": [["name", "like", "order-%"]]}
    found = ada.get("groups", order=["groups.name asc"], **mine)["items"]
    assert [one["name"] for one in found] == ["order-a", "order-b"]
    for resource, order in (("job_tasks", "job.created_at"), ("jobs", "parent_job.created_at"), ("jobs", "users.uuid")):
        assert order in errors_of(ada.ask("GET", resource, params={"order": order}), 422)


def test_a_selection_that_can_not_be_is_refused_before_anything_is_done(ada: Person) -> None:
    said = {"name": "not to be", "select": ["no_such"]}
    assert "no_such" in errors_of(ada.ask("POST", "groups", json=said), 422)
    assert "no_such" in errors_of(
        ada.ask("POST", "groups", json={"name": "not to be"}, params={"select": "no_such"}), 422
    )
    assert ada.get("groups", filters=[["name", "=", "not to be"]])["items"] == []
    assert set(ada.post("groups", name="to be", select=["name"])) == {"name", "kind"}


def test_the_one_keep_service_is_listed_as_all_things_are(ada: Person) -> None:
    for path in ("keep_services", "keep_services/accessible"):
        whole = ada.get(path)
        [service] = whole["items"]
        assert whole["items_available"] == 1
        assert set(service) == {"kind", "etag", "href", *RESOURCES["keep_services"].names}
        proxies = [["service_type", "=", "proxy"], ["uuid", "like", "%-bi6l4-_%"], ["service_port", ">", 0]]
        assert ada.get(path, filters=proxies, order=["service_host desc"])["items"] == [service]
        for others in (
            ["service_type", "=", "disk"],
            ["service_type", "!=", "proxy"],
            ["service_type", "in", ["disk"]],
            ["service_type", "not in", ["proxy"]],
            ["service_type", "=", None],
            ["service_type", "like", "p\\_%"],
            ["uuid", "is_a", "arvados#job"],
            ["read_only", "=", True],
        ):
            assert ada.get(path, filters=[others])["items"] == [], others
        assert ada.get(path, where={"service_type": "disk"})["items_available"] == 0
        assert "items_available" not in ada.get(path, count="none")
        assert ada.get(path, select=["service_type"])["items"] == [{"kind": service["kind"], "service_type": "proxy"}]
        assert ada.get(path, limit=0)["items"] == ada.get(path, offset=1)["items"] == []
        for wrong in ({"filters": '[["no_such","=","x"]]'}, {"select": '["no_such"]'}, {"count": "no_such"}):
            errors_of(ada.ask("GET", path, params=wrong), 422)


@pytest.mark.parametrize(
    ("value", "pattern", "is_so"),
    [
        ("abc", "abc", True), ("abc", "a%", True), ("abc", "%c", True), ("abc", "%b%", True), ("abc", "a_c", True),
        ("abc", "a%b", False), ("abc", "", False), ("", "", True), ("", "%", True), ("", "_", False),
        ("a%c", r"a\%c", True), ("abc", r"a\%c", False), ("a_c", r"a\_c", True), ("abc", r"a\_c", False),
        ("aXbXc", "%X%X%", True), ("aXbXc", "%X%X", False), ("mississippi", "m%iss%pi", True), ("a\nb", "a%b", True),
        (r"a\b", r"a\\b", True), ("ABC", "abc", False),
    ],
)  # fmt: skip
def test_like_is_as_in_sql(value: str, pattern: str, is_so: bool) -> None:
    assert is_like(value, pattern) is is_so


def test_no_pattern_takes_longer_than_its_length_and_that_of_the_text() -> None:
    began = time.process_time()
    assert not is_like("zzzzz-bi6l4-000000000000000" * 10, "%_" * 200 + "!")
    assert time.process_time() - began < 1.0
