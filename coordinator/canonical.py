"""What people write as JSON or YAML, checked and normalised before it is stored, hashed or shown to a task.

A task is to see exactly the value that its fingerprint covers. So numbers get their one spelling (`1.0` is 1, `-0.0` is
0), signature hints go, and whatever two readers could understand differently is refused: an integer that a double
can't hold, a key that stands twice, NaN. RFC 8785 then gives equal values equal bytes.
"""

import json
import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from hashlib import sha256
from typing import Any

import rfc8785

from coordinator.locators import strip_hints
from schemas.fields import MAX_SAFE_INTEGER, MAX_SPEC_BYTES, MAX_VALUE_DEPTH
from schemas.nesting import depth

_TOO_LARGE = f"larger than {MAX_SPEC_BYTES} bytes: put large values into a file and name it as an input"
_TOO_DEEP = f"nested more than {MAX_VALUE_DEPTH} levels deep"
_BEYOND = "is an integer beyond 2^53, which JSON readers round: write it as text"
_FIRST_EXPONENT = 1e21  # from here on RFC 8785 writes 1e+21, which no reader takes for an integer


class BadTask(ValueError):
    """What someone asked for can't be accepted: which field of the description (may be empty), and why."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(f"{field}: {message}" if field else message)
        self.field = field
        self.message = message


def parse_json(text: str | bytes, field: str = "") -> Any:
    """The normalised value that JSON text stands for. Raises BadTask naming the place; `field` is what `text` is."""
    with _refusing(field):
        data = text if isinstance(text, bytes) else text.encode()
        if len(data) > MAX_SPEC_BYTES:
            raise BadTask(field, _TOO_LARGE)
        if depth(data) > MAX_VALUE_DEPTH:
            raise BadTask(field, _TOO_DEEP)
        value = json.loads(
            data.decode(), object_pairs_hook=_object, parse_constant=_constant, parse_int=_integer, parse_float=_float
        )
    return normalise(value, field)


def normalise(value: Any, field: str = "") -> Any:
    """The value with one spelling for each number and without signature hints, as JSON can hold it.

    Takes what a JSON or YAML reader makes; `field` is what it is called in errors: `parameters` gives
    `parameters.a[3].b`. Raises BadTask.
    """
    return _Walk(field).value(value)


def canonical(value: Any) -> bytes:
    """RFC 8785 canonical JSON of a normalised value."""
    return rfc8785.dumps(value)


def digest(value: Any) -> str:
    """SHA-256, 64 hex digits, of a normalised value's canonical JSON."""
    return sha256(canonical(value)).hexdigest()


@contextmanager
def _refusing(field: str) -> Iterator[None]:
    try:
        yield
    except json.JSONDecodeError as error:
        raise BadTask(field, f"not JSON at line {error.lineno}, column {error.colno}: {error.msg}") from error
    except UnicodeError as error:
        raise BadTask(field, "not UTF-8 text") from error


class _Flaw:
    """What is wrong with a part of the JSON, left in its place, so that the walk can say where that is."""

    def __init__(self, message: str) -> None:
        self.message = message


def _object(pairs: list[tuple[str, Any]]) -> Any:
    result = dict(pairs)
    if len(result) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for key in keys if keys.count(key) > 1)
        return _Flaw(f"the key {_shown(twice)} stands twice: keep one of them")
    return result


def _constant(name: str) -> Any:
    return _Flaw(f"{name} is not JSON: write a finite number, or text")


def _integer(digits: str) -> Any:
    return int(digits) if len(digits) <= 20 else _Flaw(f"{digits[:12]}… {_BEYOND}")


def _float(text: str) -> Any:
    value = float(text)
    if not math.isfinite(value):
        return _Flaw(f"{text[:20]} is a number too large for JSON readers")
    if MAX_SAFE_INTEGER <= abs(value) < _FIRST_EXPONENT and Decimal(text) != value:
        return _Flaw(f"{text[:20]} {_BEYOND}")
    return value


class _Walk:
    """One pass over a value. `trail`: keys and indices that lead to where it stands; `room`: bytes still to spend."""

    def __init__(self, field: str) -> None:
        self.field = field
        self.trail: list[str | int] = []
        self.room = MAX_SPEC_BYTES

    def value(self, value: Any) -> Any:
        """The normalised value."""
        self.spend(2)
        check = _CHECKS.get(type(value))
        if check is None:
            raise self.bad(value.message if isinstance(value, _Flaw) else _not_json(value))
        return check(self, value)

    def constant(self, value: bool | None) -> bool | None:
        """`true`, `false` and `null` have one spelling."""
        return value

    def integer(self, value: int) -> int | float:
        """An integer that a double holds exactly. RFC 8785 libraries take 2^53 itself as a float only."""
        if abs(value) >= MAX_SAFE_INTEGER:
            if abs(value) == MAX_SAFE_INTEGER:
                return float(value)
            raise self.bad(f"{_shortened(value)} {_BEYOND}")
        return value

    def number(self, value: float) -> int | float:
        """A float; one that readers would see as an integer becomes that integer."""
        if not math.isfinite(value):
            raise self.bad(f"{value} is not JSON: write a finite number, or text")
        if value.is_integer() and abs(value) < _FIRST_EXPONENT:
            return self.integer(int(value))
        return value

    def text(self, value: str) -> str:
        """Text that UTF-8 and a database can hold, without signature hints."""
        try:
            self.spend(len(value.encode()))
        except UnicodeEncodeError as error:
            raise self.bad("half of a UTF-16 surrogate pair is not text") from error
        if "\0" in value:
            raise self.bad("the character U+0000 can't be stored")
        return strip_hints(value)

    def array(self, value: list[Any] | tuple[Any, ...]) -> list[Any]:
        """Its items, in order."""
        return [self.inside(index, item) for index, item in enumerate(value)]

    def object(self, value: Mapping[Any, Any]) -> dict[str, Any]:
        """Its members. Two keys that differ in signatures alone would be one: refused."""
        result: dict[str, Any] = {}
        for key, item in value.items():
            if not isinstance(key, str):
                raise self.bad(f"the key {_shortened(key)} is not text: put it in quotes")
            name = self.text(key)
            if name in result:
                raise self.bad(f"the key {_shown(name)} stands twice once its signature is removed")
            result[name] = self.inside(name, item)
        return result

    def inside(self, step: str | int, value: Any) -> Any:
        """The normalised value one step further down."""
        self.trail.append(step)
        if len(self.trail) >= MAX_VALUE_DEPTH and isinstance(value, dict | list | tuple):
            raise self.bad(_TOO_DEEP)
        result = self.value(value)
        self.trail.pop()
        return result

    def spend(self, size: int) -> None:
        """Count bytes; what is shared by reference counts each time, as it would when written out."""
        self.room -= size
        if self.room < 0:
            raise BadTask(self.field or self.place(), _TOO_LARGE)

    def bad(self, message: str) -> BadTask:
        """The refusal of what stands here."""
        return BadTask(self.place(), message)

    def place(self) -> str:
        """Where the walk stands: `parameters.a[3].b`."""
        path = self.field
        for step in self.trail:
            path += f"[{step}]" if isinstance(step, int) else _member(step, not path)
        return path if len(path) <= 200 else path[:199] + "…"


_CHECKS: dict[type, Callable[[_Walk, Any], Any]] = {
    bool: _Walk.constant,
    type(None): _Walk.constant,
    int: _Walk.integer,
    float: _Walk.number,
    str: _Walk.text,
    list: _Walk.array,
    tuple: _Walk.array,
    dict: _Walk.object,
}


def _member(name: str, is_first: bool) -> str:
    if not name.replace("-", "_").isidentifier():
        return f"[{_shown(name)}]"
    return name if is_first else f".{name}"


def _not_json(value: Any) -> str:
    return f"a {type(value).__name__} is not JSON: put it in quotes"


def _shown(text: str) -> str:
    return json.dumps(text if len(text) <= 40 else text[:39] + "…", ensure_ascii=False)


def _shortened(value: Any) -> str:
    if isinstance(value, int) and abs(value) > 10**20:
        return "a number of more than 20 digits"
    return str(value)[:40]
