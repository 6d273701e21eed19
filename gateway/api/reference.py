"""The API's reference for people, made from the one table; `docs/api-reference.md` is its output, and a test says so.

python -m gateway.api.reference > docs/api-reference.md
"""

from collections.abc import Iterator

from gateway.api.refusals import PASSED_OVER
from gateway.api.schema import RESOURCES, Attribute, Method, Resource

_WRITE = {"no": "", "create": "at creation", "update": "later", "both": "at creation and later"}
_STRICT = {"no": "refused", "create": "at creation; then refused", "update": "later; at creation refused"}
_RULE = "Refused: 422, which says why, unless it is so already. Kept: nothing depends on it. Passed over: as in v1."


def reference() -> str:
    """The whole page, as Markdown."""
    return "\n".join(_lines()) + "\n"


def _lines() -> Iterator[str]:
    yield "# API reference"
    yield ""
    yield "Made from `gateway/api/schema.py` by `python -m gateway.api.reference`. Paths are below `/arvados/v1/`; the"
    yield "[guide](api-guide.md) says what all of them have in common."
    yield ""
    yield "The same as OpenAPI: [openapi.json](openapi.json)."
    for resource in RESOURCES.values():
        yield from _resource(resource)


def _resource(resource: Resource) -> Iterator[str]:
    yield from ("", f"## {resource.name}", "", resource.about, "")
    yield from ("| method | request | |", "| --- | --- | --- |")
    yield from (_method(resource, method) for method in resource.methods)
    yield from ("", _RULE) if resource.is_strict else ()
    yield from ("", "| attribute | type | | can be set |", "| --- | --- | --- | --- |")
    yield from (_attribute(resource, attribute) for attribute in resource.attributes)


def _method(resource: Resource, method: Method) -> str:
    return f"| {method.name} | `{method.verb} {resource.name}{method.path}` | {method.about} |"


def _attribute(resource: Resource, attribute: Attribute) -> str:
    return f"| {attribute.name} | {attribute.kind} | {attribute.about} | {_write(resource, attribute)} |"


def _write(resource: Resource, one: Attribute) -> str:
    if not resource.is_strict:
        return _WRITE[one.write]
    if one.name in PASSED_OVER:
        return "passed over"
    return (_WRITE | _STRICT)[one.write] + ("; kept" if one.name in resource.kept else "")


if __name__ == "__main__":
    print(reference(), end="")
