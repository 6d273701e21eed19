"""The OpenAPI document: it is that of the table, it holds together, and what the API replies is what it says."""

import json
from collections.abc import Iterator
from typing import Any

import pytest

from gateway.api.openapi import document
from gateway.api.schema import RESOURCES
from tests.conftest import CHECKOUT
from tests.support.api import Site
from tests.support.scripts import Scripts

DOCUMENT = document()
PYTHON = {
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "object": dict,
    "array": list,
    "null": type(None),
}


def test_the_file_is_that_of_the_table() -> None:
    assert json.loads((CHECKOUT / "docs" / "openapi.json").read_text()) == DOCUMENT


def references(value: Any) -> Iterator[str]:
    if isinstance(value, dict):
        if isinstance(value.get("$ref"), str):
            yield value["$ref"]
        value = list(value.values())
    if isinstance(value, list):
        for item in value:
            yield from references(item)


def test_it_holds_together() -> None:
    for reference in set(references(DOCUMENT)):
        found: Any = DOCUMENT
        for part in reference.removeprefix("#/").split("/"):
            found = found[part]
    operations = [(path, one) for path, item in DOCUMENT["paths"].items() for one in item.values()]
    names = [one["operationId"] for _, one in operations]
    assert len(names) == len(set(names))
    for path, one in operations:
        in_path = {parameter["name"] for parameter in one.get("parameters", []) if parameter["in"] == "path"}
        assert in_path == {part[1:-1] for part in path.split("/") if part.startswith("{")}
    methods = {f"{name}.{one.name}" for name, resource in RESOURCES.items() for one in resource.methods}
    assert {name for name in names if not name.startswith(("keep.", "discovery."))} == {
        name for name in methods if not name.endswith(".index")
    }


def test_purity_is_documented_as_what_it_is() -> None:
    for schema in ("Job", "JobTask"):
        purity = DOCUMENT["components"]["schemas"][schema]["properties"]["is_pure"]
        assert (purity["type"], purity["default"]) == ("boolean", False)
        assert "true from creation only" in purity["description"]


def fits(schema: dict[str, Any], value: Any) -> bool:
    """Whether the value is of one of the schema's types, or is the one it must be."""
    if "const" in schema:
        return bool(value == schema["const"])
    kinds = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
    return any(isinstance(value, PYTHON[kind]) and (kind == "boolean" or value is not True) for kind in kinds)


@pytest.mark.needs("git")
def test_what_is_replied_is_what_it_says(api_site: Site, scripts: Scripts) -> None:
    ann = api_site.person("ann")
    group = ann.post("groups", name="described")["uuid"]
    link = {"link_class": "permission", "name": "can_read", "tail_uuid": api_site.person("ben").uuid}
    ann.post("links", head_uuid=group, **link)
    ann.post("collections", name="described", properties={"a": 1})
    scripts.ended(ann, scripts.job(ann, {"queue": [{"write": "x"}]}, is_pure=True)["uuid"])
    for name, resource in RESOURCES.items():
        said = DOCUMENT["components"]["schemas"][resource.schema]["properties"]
        items = ann.get(name)["items"]
        assert items, name
        for item in items:
            left_out = {"manifest_text", "unsigned_manifest_text"} if name == "collections" else set()
            assert set(said) - set(item) == left_out, name
            wrong = {key: value for key, value in item.items() if not fits(said[key], value)}
            assert not wrong, (name, wrong)
