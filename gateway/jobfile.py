"""Reading a job file, YAML or JSON, into plain values, and refusing what would not mean the same to two readers.

YAML is read with the types of JSON alone, as YAML 1.2 writes them: `no` is text, `012` is text, a date is text, a key
is always text. Aliases, tags and several documents are refused; in both languages a key stands once.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import yaml

from coordinator.canonical import BadTask, parse_json
from gateway.problems import Refused
from schemas.fields import MAX_VALUE_DEPTH

MAX_FILE_BYTES = 1024 * 1024
MAX_DEPTH = MAX_VALUE_DEPTH

Description = dict[str, Any]


def read(path: Path) -> Description:
    """The job file's mapping. `-` reads YAML from standard input. Raises Refused naming the file, line and cause."""
    source, data = ("standard input", _stdin()) if str(path) == "-" else (str(path), _bytes_of(path))
    if len(data) > MAX_FILE_BYTES:
        raise Refused(f"{source}: larger than {MAX_FILE_BYTES} bytes: give large values as input files")
    value = _json(source, data) if path.suffix == ".json" else _yaml(source, data)
    if not isinstance(value, dict):
        raise Refused(f"{source}: a job file is a mapping of keys to values, this is {_kind(value)}")
    return value


def _stdin() -> bytes:
    return sys.stdin.buffer.read(MAX_FILE_BYTES + 1)


def _bytes_of(path: Path) -> bytes:
    try:
        with path.open("rb") as file:
            return file.read(MAX_FILE_BYTES + 1)
    except OSError as error:
        raise Refused(f"{path}: {error.strerror}: name a job file that can be read") from error


def _kind(value: Any) -> str:
    return {list: "a list", type(None): "empty", str: "text"}.get(type(value), f"a {type(value).__name__}")


def _json(source: str, data: bytes) -> Any:
    try:
        return parse_json(data)
    except BadTask as error:
        raise Refused(f"{source}: {error}") from error


# --- YAML -----------------------------------------------------------------------------------------------------------


class _Loader(yaml.CSafeLoader if hasattr(yaml, "CSafeLoader") else yaml.SafeLoader):  # type: ignore[misc]
    """A loader that knows the types of JSON and no others."""

    yaml_implicit_resolvers: dict[str, list[tuple[str, re.Pattern[str]]]] = {}  # noqa: RUF012 # PyYAML's own shape

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> Description:
        """Keys are the text that stands there: `1:` and `no:` too."""
        return {key.value: self.construct_object(value, deep=deep) for key, value in node.value}


_TYPES = (
    ("null", r"~|null|Null|NULL|", "~nN\0"),
    ("bool", r"true|True|TRUE|false|False|FALSE", "tTfF"),
    ("int", r"[-+]?(?:0|[1-9][0-9]*)|0x[0-9a-fA-F]+", "-+0123456789"),
    ("float", r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?", "-+.0123456789"),
    ("float", r"[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN)", "-+."),
)
for _name, _pattern, _first in _TYPES:
    for _character in _first:
        _Loader.yaml_implicit_resolvers.setdefault(_character.strip("\0"), []).append(
            (f"tag:yaml.org,2002:{_name}", re.compile(rf"(?:{_pattern})\Z"))
        )


def _yaml(source: str, data: bytes) -> Any:
    try:
        text = data.decode("utf-8-sig")
        _check_events(source, text)
        return yaml.load(text, _Loader)
    except UnicodeDecodeError as error:
        raise Refused(f"{source}: not UTF-8 at byte {error.start}") from error
    except yaml.MarkedYAMLError as error:
        line = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise Refused(f"{source}: {line}not YAML: {error.problem or error.context}") from error
    except yaml.YAMLError as error:
        raise Refused(f"{source}: not YAML: {error}") from error


def _check_events(source: str, text: str) -> None:
    """Refuse what the loader would take, or die of, before it builds anything: events come without recursion."""
    for event, depth in _with_depth(source, yaml.parse(text, _Loader)):
        line = _line(event)
        if depth > MAX_DEPTH:
            raise Refused(f"{source}: line {line}: nested more than {MAX_DEPTH} levels deep")
        if isinstance(event, yaml.AliasEvent):
            raise Refused(f"{source}: line {line}: alias *{event.anchor}: write the value out")
        if tag := getattr(event, "tag", None):
            raise Refused(f"{source}: line {line}: tag {tag}: a job file holds the types of JSON only")
        if isinstance(event, yaml.ScalarEvent) and event.implicit[0] and len(event.value) > 20:
            _check_number(source, line, event.value)


def _line(event: yaml.Event) -> int:
    return event.start_mark.line + 1 if event.start_mark else 0


def _check_number(source: str, line: int, text: str) -> None:
    if re.fullmatch(r"[-+]?[0-9]+|0x[0-9a-fA-F]+", text):
        raise Refused(f"{source}: line {line}: {text[:12]}… is too long: integers go to 2^53; write it as text")


def _with_depth(source: str, events: Iterator[yaml.Event]) -> Iterator[tuple[yaml.Event, int]]:
    keys: list[_Keys | None] = []
    documents = 0
    for event in events:
        documents += isinstance(event, yaml.DocumentStartEvent)
        if documents > 1:
            raise Refused(f"{source}: line {_line(event)}: a second document: one file is one job")
        if isinstance(event, yaml.CollectionEndEvent):
            keys.pop()
        elif isinstance(event, yaml.NodeEvent):
            if keys and (holder := keys[-1]) is not None:
                holder.see(source, event)
            if isinstance(event, yaml.CollectionStartEvent):
                keys.append(_Keys() if isinstance(event, yaml.MappingStartEvent) else None)
        yield event, len(keys)


class _Keys:
    """The keys seen so far in one mapping; its nodes come as key, value, key, value."""

    def __init__(self) -> None:
        self._names: set[str] = set()
        self._key_is_next = True

    def see(self, source: str, event: yaml.NodeEvent) -> None:
        """Note the next node of the mapping. Refuse a key that is no text or stands twice."""
        is_key, self._key_is_next = self._key_is_next, not self._key_is_next
        if not is_key:
            return
        line = _line(event)
        if not isinstance(event, yaml.ScalarEvent):
            raise Refused(f"{source}: line {line}: a key is text, not a list or a mapping")
        if event.value in self._names:
            raise Refused(f"{source}: line {line}: {event.value!r} stands twice: keep one of them")
        self._names.add(event.value)
