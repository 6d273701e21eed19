"""The discovery document, from which the SDKs build themselves: generated from the one table in schema.py.

https://developers.google.com/discovery/v1/reference/apis, as far as Arvados' clients read it: the root, every schema
that a method refers to, and for each method its id, verb, path, parameters (with type and place) and body.
"""

from collections.abc import Mapping
from typing import Any

from gateway.api.schema import Method, Resource
from gateway.api.signing import SIGNED_FOR

REPLICAS = 2  # what CollectionWriter wants to hear
_PARAMETERS: dict[str, dict[str, Any]] = {
    "uuid": {"type": "string", "required": True, "location": "path", "description": "the object's uuid"},
    "filters": {"type": "array", "required": False, "location": "query"},
    "where": {"type": "object", "required": False, "location": "query"},
    "order": {"type": "array", "required": False, "location": "query"},
    "select": {"type": "array", "required": False, "location": "query"},
    "limit": {"type": "integer", "required": False, "default": "100", "location": "query"},
    "offset": {"type": "integer", "required": False, "default": "0", "location": "query"},
    "count": {"type": "string", "required": False, "default": "exact", "location": "query"},
    "ensure_unique_name": {"type": "boolean", "required": False, "default": "false", "location": "query"},
    "minimum_script_version": {"type": "string", "required": False, "location": "query"},
    "exclude_script_versions": {"type": "array", "required": False, "location": "query"},
    "script": {"type": "string", "required": False, "location": "query"},
    "script_version": {"type": "string", "required": False, "location": "query"},
    "repository": {"type": "string", "required": False, "location": "query"},
    "script_parameters": {"type": "object", "required": False, "location": "query"},
    "runtime_constraints": {"type": "object", "required": False, "location": "query"},
    "find_or_create": {"type": "boolean", "required": False, "default": "false", "location": "query"},
    "diff": {"type": "string", "required": False, "location": "query", "description": "uuid of another task"},
}
_SCHEMA_TYPES = {"hash": "Hash", "array": "Array"}


def document(resources: Mapping[str, Resource], root_url: str, prefix: str) -> dict[str, Any]:
    """The whole document. `root_url` ends with a slash; `prefix` begins every uuid."""
    return {
        "kind": "discovery#restDescription",
        "discoveryVersion": "v1",
        "id": "arvados:v1",
        "name": "arvados",
        "version": "v1",
        "revision": "20141210",
        "source_version": "crunch-reuse",
        "generatedAt": "2014-12-10T00:00:00.000000000Z",
        "title": "Arvados API",
        "description": "The jobs and job_tasks API of Arvados v1",
        "documentationLink": "https://doc.arvados.org/api/index.html",
        "defaultCollectionReplication": REPLICAS,
        "protocol": "rest",
        "rootUrl": root_url,
        "baseUrl": f"{root_url}arvados/v1/",
        "basePath": "/arvados/v1/",
        "servicePath": "arvados/v1/",
        "batchPath": "batch",
        "uuidPrefix": prefix,
        "defaultTrashLifetime": 0,
        "blobSignatureTtl": SIGNED_FOR,
        "maxItemsPerResponse": 1000,
        "parameters": {"alt": {"type": "string", "default": "json", "enum": ["json"], "location": "query"}},
        "auth": {"oauth2": {"scopes": {f"{root_url}auth/arvados": {"description": "all"}}}},
        "schemas": dict(_schemas(resources)),
        "resources": {name: {"methods": _methods(resource)} for name, resource in resources.items()},
    }


def _schemas(resources: Mapping[str, Resource]) -> Any:
    for resource in resources.values():
        properties = {
            "uuid": {"type": "string"},
            **{
                one.name: {"type": _SCHEMA_TYPES.get(one.kind, one.kind), "description": one.about}
                for one in resource.attributes
            },
        }
        yield (
            resource.schema,
            {"id": resource.schema, "description": resource.about, "type": "object", "properties": properties},
        )
        yield f"{resource.schema}List", _list_schema(resource)


def _list_schema(resource: Resource) -> dict[str, Any]:
    return {
        "id": f"{resource.schema}List",
        "description": f"A page of {resource.name}",
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "etag": {"type": "string"},
            "items": {"type": "array", "items": {"$ref": resource.schema}},
            "items_available": {"type": "integer"},
            "limit": {"type": "integer"},
            "offset": {"type": "integer"},
        },
    }


def _methods(resource: Resource) -> dict[str, Any]:
    return {method.name: _method(resource, method) for method in resource.methods}


def _method(resource: Resource, method: Method) -> dict[str, Any]:
    names = (*(("uuid",) if "{uuid}" in method.path else ()), *method.parameters)
    made: dict[str, Any] = {
        "id": f"arvados.{resource.name}.{method.name}",
        "path": f"{resource.name}{method.path}",
        "httpMethod": method.verb,
        "description": method.about,
        "parameters": {name: _PARAMETERS[name] for name in names},
        "parameterOrder": ["uuid"] if "uuid" in names else [],
        "response": {"$ref": f"{resource.schema}List" if "limit" in names else resource.schema},
        "scopes": ["https://api.curoverse.com/auth/arvados"],
    }
    if method.body:
        schema = {"$ref": resource.schema}
        made["request"] = {"required": False, "properties": {resource.singular: schema}}
    return made
