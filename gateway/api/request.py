"""One request as the API's methods see it, whatever form it came in.

Clients of Arvados send a body flat (`{"script": …}`) or wrapped (`{"job": {…}}`), as JSON or as a form, the method in
the request line, in `X-HTTP-Method-Override` or as `_method`; and a long GET as a POST whose form holds the query.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, NoReturn
from urllib.parse import parse_qsl

from coordinator.purity import texts
from gateway.api.errors import ApiError, invalid
from gateway.api.numbers import Numbers, flaws
from gateway.api.schema import Attribute, Resource
from schemas.fields import MAX_VALUE_DEPTH
from schemas.nesting import depth

BODY = "body"
MAX_PARAMETERS = 1_000
MAX_REQUEST_ID = 256
LONGEST_STRING = 255  # characters of an attribute that is no long text, as in Arvados; some stand in an index
VERBS = ("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
_JSON_OPTIONS = frozenset({"filters", "where", "order", "select"})
_TYPES: dict[str, tuple[type, ...]] = {
    "string": (str,),
    "text": (str,),
    "datetime": (str,),
    "integer": (int,),
    "float": (int, float),
    "boolean": (bool,),
    "hash": (dict,),
    "array": (list,),
}
_NAMES = {"hash": "an object", "array": "an array", "string": "text", "text": "text", "datetime": "a time"}
_UNSTORABLE = re.compile("[\0\ud800-\udfff]")  # Postgres holds no NUL, UTF-8 no half of a pair
_TRUTH = {"true": True, "1": True, "false": False, "0": False}


@dataclass(frozen=True)
class Call:
    """`options`: parameters of the query and of a form, text as it came. `body`: the JSON object, {} if there is none.

    `raw`: the body's bytes, which tell one creation from another. `request_id`: the client's; empty: it sent none.
    `host`: what the client calls this server, with its port.
    """

    verb: str
    path: tuple[str, ...]
    options: dict[str, Any] = field(default_factory=dict)
    body: dict[str, Any] = field(default_factory=dict)
    raw: bytes = b""
    request_id: str = ""
    token: str = ""
    host: str = ""

    def option(self, name: str) -> Any:
        """An option, wherever it stands; None: it is not given. JSON where its meaning is JSON."""
        value = self.options.get(name, self.body.get(name))
        if isinstance(value, str) and name in _JSON_OPTIONS and value[:1] in ("[", "{", '"'):
            return parsed(value.encode(), name)
        return value

    def number(self, name: str, default: int, most: int) -> int:
        """A whole number from 0 to `most`; more counts as `most`."""
        value = self.option(name)
        if value in (None, ""):
            return default
        try:
            if isinstance(value, bool) or (isinstance(value, str) and len(value) > 20):
                raise ValueError
            number = int(value)
        except (TypeError, ValueError, OverflowError):
            raise invalid(f"{name}: must be a whole number") from None
        if number < 0:
            raise invalid(f"{name}: must not be negative")
        return min(number, most)

    def flag(self, name: str) -> bool:
        """Whether an option is set to true."""
        value = self.option(name)
        return value is True or _TRUTH.get(str(value).lower(), False)

    def said(self, resource: Resource) -> dict[str, Any]:
        """What is said of an object, as it came: of a wrapped body what is in it, else all. ApiError 422."""
        wrapped = self._wrapped(resource)
        return self.body | self.options if wrapped is None else wrapped

    def is_wrapped(self, resource: Resource) -> bool:
        """Whether the body holds the object under its name. ApiError 422."""
        return self._wrapped(resource) is not None

    def _wrapped(self, resource: Resource) -> dict[str, Any] | None:
        value = self.options.get(resource.singular, self.body.get(resource.singular))
        if isinstance(value, str):
            value = parsed(value.encode(), resource.singular)
        if value is not None and not isinstance(value, dict):
            raise invalid(f"{resource.singular}: must be an object")
        return value

    def attributes(self, resource: Resource, when: str) -> dict[str, Any]:
        """The attributes that a body sets, each of its type. `when`: create or update.

        A wrapped body must not name what the resource doesn't have; a flat one's unknown names are passed over, as
        Rails did: it is how old clients and new servers bear each other.
        """
        wrapped = self._wrapped(resource)
        if wrapped is not None:
            _refuse_unknown(resource, wrapped)
        chosen = self.said(resource)
        return {
            one.name: _short(one, _typed(one, chosen[one.name]))
            for one in resource.attributes
            if one.name in chosen and one.write in (when, "both")
        }

    def beside(self, resource: Resource, when: str) -> Iterator[tuple[Attribute, Any]]:
        """The attributes in a body that it can't set then, each with its value."""
        chosen = self.said(resource)
        for one in resource.attributes:
            if one.name in chosen and one.write not in (when, "both"):
                yield one, None if chosen[one.name] is None else _typed(one, chosen[one.name])


def call(verb: str, path: str, query: bytes, headers: dict[str, str], raw: bytes, **more: str) -> Call:
    """The request of these parts. Raises ApiError. `headers`: names in lower case; `more`: token and host."""
    options = _pairs(query)
    body: dict[str, Any] = {}
    kind = headers.get("content-type", "").split(";")[0].strip().lower()
    if raw and kind == "application/x-www-form-urlencoded":
        options |= _pairs(raw)
    elif raw.strip():
        body = _object(raw)
    override = headers.get("x-http-method-override") or options.pop("_method", None) or body.pop("_method", None)
    verb = _overridden(verb, override)
    parts = tuple(part for part in path.split("/") if part)
    request_id = headers.get("x-request-id", "")[:MAX_REQUEST_ID]
    return Call(verb, parts, options, body, raw, request_id, **more)


def parsed(data: bytes, name: str = BODY) -> Any:
    """The value that JSON text stands for. Raises ApiError naming the fault.

    Keys stand once, numbers are those that all readers agree on, text at any depth can be stored.
    """
    if depth(data) > MAX_VALUE_DEPTH:
        raise invalid(f"{name}: nested more than {MAX_VALUE_DEPTH} levels deep")
    numbers = Numbers()
    try:
        value = json.loads(
            data.decode(),
            object_pairs_hook=_unique,
            parse_constant=_not_json,
            parse_int=numbers.integer,
            parse_float=numbers.decimal,
        )
    except UnicodeDecodeError:
        raise invalid(f"{name}: not UTF-8 text") from None
    except ValueError as error:
        raise invalid(f"{name}: not JSON: {error}") from None
    if b"\\u" in data:  # the only way to write what can't be stored
        _refuse_unstorable(value, name)
    if numbers.has_flaw:
        raise invalid(next(flaws(value, "" if isinstance(value, dict) and name == BODY else name)))
    return value


def _pairs(data: bytes) -> dict[str, Any]:
    try:
        made = dict(parse_qsl(data.decode(), keep_blank_values=True, max_num_fields=MAX_PARAMETERS, errors="strict"))
    except UnicodeDecodeError:
        raise invalid("parameters: not UTF-8 text") from None
    except ValueError:
        raise invalid(f"parameters: more than {MAX_PARAMETERS}") from None
    _refuse_unstorable(made, "parameters")
    return made


def _refuse_unstorable(value: Any, name: str) -> None:
    if any(_UNSTORABLE.search(text) for text in texts(value)):
        raise invalid(f"{name}: text must not hold the character NUL, or half of a UTF-16 surrogate pair")


def _object(raw: bytes) -> dict[str, Any]:
    value = parsed(raw)
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise invalid("body: must be a JSON object")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) < len(pairs):
        raise ValueError("a key stands twice in one object")
    return made


def _not_json(name: str) -> NoReturn:
    raise ValueError(f"{name} is no number of JSON")


def _overridden(verb: str, override: Any) -> str:
    if not isinstance(override, str) or verb != "POST":
        return verb
    if override.upper() not in VERBS:
        raise ApiError(422, "_method: no such method")
    return override.upper()


def _refuse_unknown(resource: Resource, names: Iterable[str]) -> None:
    beside = {"kind", "etag", "href", *resource.flags}
    unknown = sorted(name for name in names if resource.attribute(name) is None and name not in beside)
    if unknown:
        raise invalid(f"unknown attribute '{unknown[0][:80]}' for {resource.schema}")


def _short(attribute: Attribute, value: Any) -> Any:
    if attribute.kind == "string" and value is not None and len(value) > LONGEST_STRING:
        raise invalid(f"{attribute.name}: longer than {LONGEST_STRING} characters")
    return value


def _typed(attribute: Attribute, value: Any) -> Any:
    """The value, if it is of the attribute's type; text of a form is read as that type."""
    if value is None:
        if attribute.is_nullable:
            return None
        raise invalid(f"{attribute.name}: can't be null")
    if isinstance(value, str) and attribute.kind not in ("string", "text", "datetime"):
        value = (
            _TRUTH.get(value.lower(), value) if attribute.kind == "boolean" else parsed(value.encode(), attribute.name)
        )
    wanted = _TYPES[attribute.kind]
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise invalid(f"{attribute.name}: must be {_NAMES.get(attribute.kind, f'of type {attribute.kind}')}")
    return value
