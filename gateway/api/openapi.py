"""The API as OpenAPI 3.1, made from the one table; `docs/openapi.json` is its output, and a test says so.

python -m gateway.api.openapi > docs/openapi.json
"""

import json
from collections.abc import Iterator, Mapping
from typing import Any

from gateway.api.schema import RESOURCES, Attribute, Method, Resource

Json = dict[str, Any]
_TYPES = {
    "string": "string",
    "text": "string",
    "datetime": "string",
    "integer": "integer",
    "float": "number",
    "boolean": "boolean",
    "hash": "object",
    "array": "array",
}
_TEXT = {"type": "string"}
_OPTIONS: Mapping[str, Json] = {
    "filters": {"type": "array", "items": {"type": "array", "prefixItems": [_TEXT, _TEXT, {}], "minItems": 3}},
    "where": {"type": "object"},
    "order": {"type": "array", "items": _TEXT},
    "select": {"type": "array", "items": _TEXT},
    "limit": {"type": "integer", "minimum": 0, "default": 100},
    "offset": {"type": "integer", "minimum": 0, "default": 0},
    "count": {"type": "string", "enum": ["exact", "none"], "default": "exact"},
    "ensure_unique_name": {"type": "boolean", "default": False},
    "find_or_create": {"type": "boolean", "default": False},
    "exclude_script_versions": {"type": "array", "items": _TEXT},
    "script_parameters": {"type": "object"},
    "runtime_constraints": {"type": "object"},
}
_ERRORS = ("401", "403", "404", "413", "422", "503")
_SINGLE = ("queue_size", "reusable", "explain")  # what they reply is no object of the resource


_ABOUT = """docs/api-guide.md says what all resources have in common. A body is flat, as here, or wrapped in the
resource's singular name; JSON or a form. Values of parameters that are arrays or objects are JSON."""


def document() -> Json:
    """The whole document."""
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "crunch-reuse: the jobs and job_tasks API of Arvados v1",
            "version": "v1",
            "description": _ABOUT,
        },
        "servers": [{"url": "https://{host}", "variables": {"host": {"default": "127.0.0.1:8000"}}}],
        "security": [{"token": []}],
        "paths": dict(_paths()) | _others(),
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "`OAuth2 TOKEN` too"}},
            "schemas": dict(_schemas()),
            "responses": {"Error": {"description": "What is wrong", "content": _content(_reference("Error"))}},
        },
    }


def _paths() -> Iterator[tuple[str, Json]]:
    for resource in RESOURCES.values():
        made: dict[str, Json] = {}
        for method in resource.methods:
            if method.name != "index":  # the same as list
                path = made.setdefault(f"/arvados/v1/{resource.name}{method.path}", {})
                path[method.verb.lower()] = _operation(resource, method)
        yield from made.items()


def _operation(resource: Resource, method: Method) -> Json:
    parameters = [_parameter(name) for name in method.parameters]
    if "{uuid}" in method.path:
        parameters.insert(0, {"name": "uuid", "in": "path", "required": True, "schema": _TEXT})
    made: Json = {
        "operationId": f"{resource.name}.{method.name}",
        "tags": [resource.name],
        "summary": method.about,
        "parameters": parameters,
        "responses": {
            "200": {"description": "Done", "content": _content(_replied(resource, method))},
            **{status: {"$ref": "#/components/responses/Error"} for status in _ERRORS},
        },
    }
    if method.body:
        made["requestBody"] = {"content": _content(_taken(resource, method.name))}
    return made


def _parameter(name: str) -> Json:
    schema = _OPTIONS.get(name, _TEXT)
    if schema.get("type") in ("array", "object"):
        return {"name": name, "in": "query", "content": {"application/json": {"schema": schema}}}
    return {"name": name, "in": "query", "schema": schema}


def _replied(resource: Resource, method: Method) -> Json:
    if method.name in _SINGLE:
        return {"type": "object"}
    is_list = "limit" in method.parameters or resource.method("get") is None
    return _reference(f"{resource.schema}List" if is_list else resource.schema)


def _taken(resource: Resource, when: str) -> Json:
    """What a flat body may say."""
    said = {one.name: _attribute(one) for one in resource.attributes if one.write in (when, "both")}
    return {"type": "object", "properties": said}


def _schemas() -> Iterator[tuple[str, Json]]:
    errors = {"errors": {"type": "array", "items": _TEXT}, "error_token": _TEXT}
    yield "Error", {"type": "object", "properties": errors, "required": list(errors)}
    for resource in RESOURCES.values():
        own: Json = {"kind": {"const": resource.kind}, "href": _TEXT, "etag": _TEXT}
        own |= {one.name: _attribute(one) for one in resource.attributes}
        yield (
            resource.schema,
            {"type": "object", "description": resource.about, "properties": own, "required": ["kind"]},
        )
        page: Json = {"kind": {"const": f"{resource.kind}List"}, "etag": _TEXT, "self_link": _TEXT}
        page |= {"items": {"type": "array", "items": _reference(resource.schema)}}
        page |= {name: {"type": "integer"} for name in ("items_available", "limit", "offset")}
        yield f"{resource.schema}List", {"type": "object", "properties": page, "required": ["kind", "items"]}


def _attribute(one: Attribute) -> Json:
    kind = _TYPES[one.kind]
    made: Json = {"type": [kind, "null"] if one.is_nullable else kind, "description": one.about}
    if one.kind == "datetime":
        made["format"] = "date-time"
    if not one.is_nullable and one.kind == "boolean":
        made["default"] = False
    return made if one.write != "no" else made | {"readOnly": True}


def _others() -> Json:
    """What is beside the resources: discovery, and Keep."""
    block = {"name": "locator", "in": "path", "required": True, "schema": _TEXT}
    octets = {"application/octet-stream": {"schema": {"type": "string", "format": "binary"}}}
    wrong: Json = {status: {"$ref": "#/components/responses/Error"} for status in _ERRORS}
    done: dict[str, Json] = {
        "head": {"description": "It is there"},
        "get": {"description": "The block", "content": octets},
        "put": {"description": "Its locator, signed"},
    }
    blocks: Json = {
        verb: {
            "operationId": f"keep.{verb}",
            "tags": ["keep"],
            "parameters": [block],
            "responses": {"200": said} | wrong,
        }
        for verb, said in done.items()
    }
    blocks["put"]["requestBody"] = {"content": octets}
    found = {"200": {"description": "The discovery document", "content": _content({"type": "object"})}}
    discovery = {"operationId": "discovery.get", "tags": ["discovery"], "security": [], "responses": found}
    return {"/discovery/v1/apis/arvados/v1/rest": {"get": discovery}, "/{locator}": blocks}


def _content(schema: Json) -> Json:
    return {"application/json": {"schema": schema}}


def _reference(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


if __name__ == "__main__":
    print(json.dumps(document(), indent=1))
