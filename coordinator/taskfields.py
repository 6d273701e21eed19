"""The fields of a task as people write them: each reader takes the field's name and a normalised value, and says no.

Every refusal is a BadTask: one line that names the field and what to write instead.
"""

import re
from collections.abc import Callable, Collection, Mapping
from difflib import get_close_matches
from fractions import Fraction
from math import ceil
from typing import Any, TypeVar

from coordinator.canonical import BadTask
from schemas.fields import MAX_SAFE_INTEGER
from schemas.spec import Resources

T = TypeVar("T")
Reader = Callable[[str, Any], T]

MAX_NAME_BYTES = 255  # what file systems allow for one name

_QUANTITY = re.compile(r"([0-9]{1,15}(?:\.[0-9]{1,9})?) ?([A-Za-z]{1,3})")
_LOGIN = re.compile(r"https?://[^/]*@|[a-z][a-z0-9+.-]*://[^/@]*:[^/@]*@", re.IGNORECASE)
_BYTES = {
    **{unit: 1000**power for power, unit in enumerate(("B", "kB", "MB", "GB", "TB"))},
    **{unit: 1024**power for power, unit in enumerate(("B", "KiB", "MiB", "GiB", "TiB"))},
}
_MILLISECONDS = {"ms": 1, "s": 1000, "m": 60_000, "h": 3_600_000, "d": 86_400_000}


def check_keys(description: Mapping[str, Any], known: Collection[str], field: str = "") -> None:
    """Refuse a key that is not known, and name the one that was probably meant."""
    for key in description:
        if key not in known:
            near = get_close_matches(key, sorted(known), 1)
            hint = f"did you mean {near[0]}?" if near else f"known are {', '.join(sorted(known))}"
            raise BadTask(f"{field}.{key[:80]}" if field else key[:80], f"no such key: {hint}")


def text(field: str, value: Any) -> str:
    """Text; what YAML reads as a number or a boolean is refused, since its spelling would be lost."""
    if not isinstance(value, str):
        raise BadTask(field, f"must be text, not {kind(value)}: put it in quotes")
    return value


def repository(field: str, value: Any) -> str:
    """A path or URL without what lets somebody in: the log keeps it for ever, and shows it to others."""
    place = text(field, value)
    if _LOGIN.match(place):
        advice = "leave it out and give git a credential helper, or an ssh key"
        raise BadTask(field, f"a URL with a login in it would stand in the log: {advice}")
    return place


def boolean(field: str, value: Any) -> bool:
    """`true` or `false`; null is neither."""
    if not isinstance(value, bool):
        raise BadTask(field, f"must be true or false, not {kind(value)}")
    return value


def integer(field: str, value: Any, low: int = -MAX_SAFE_INTEGER, high: int = MAX_SAFE_INTEGER) -> int:
    """A whole number from `low` to `high`."""
    if isinstance(value, bool) or not isinstance(value, int) or not low <= value <= high:
        raise BadTask(field, f"must be a whole number from {low} to {high}, not {kind(value)}")
    return value


def choice(*words: str) -> Reader[str]:
    """A reader of one of these words."""

    def read(field: str, value: Any) -> str:
        if value not in words:
            raise BadTask(field, f"must be {' or '.join(words)}, not {kind(value)}")
        return str(value)

    return read


def mapping(field: str, value: Any) -> dict[str, Any]:
    """A mapping of names to values; v1 asks the same of parameters."""
    if not isinstance(value, dict):
        raise BadTask(field, f"must be a mapping of names to values, not {kind(value)}")
    return value


def texts(field: str, value: Any) -> tuple[str, ...]:
    """A list of texts."""
    if not isinstance(value, list):
        raise BadTask(field, f"must be a list of texts, not {kind(value)}")
    return tuple(text(f"{field}[{index}]", item) for index, item in enumerate(value))


def command(field: str, value: Any) -> tuple[str, ...]:
    """An argument vector; one text is a line for the shell."""
    if isinstance(value, str):
        return ("sh", "-c", value) if value.strip() else ()
    return texts(field, value)


def job_parameters(field: str, value: Any) -> Any:
    """`all`, or names of the job's parameters; in order and once each, as their order says nothing."""
    return value if value == "all" else tuple(sorted(set(texts(field, value))))


def path(field: str, value: Any) -> str:
    """A path inside a tree, written one way: `./a//b` is `a/b`. Nothing climbs out."""
    written = text(field, value)
    names = [name for name in written.split("/") if name not in ("", ".")]
    if written.startswith("/") or ".." in names:
        raise BadTask(field, f"{written[:80]!r} leads out of its folder: write a path inside it, without '..'")
    return "/".join(names)


def output_paths(field: str, value: Any) -> tuple[str, ...]:
    """Declared output paths, in order and once each, as their order says nothing."""
    paths = {path(f"{field}[{index}]", item) for index, item in enumerate(texts(field, value))}
    if "" in paths:
        raise BadTask(field, "an empty path names no output: leave `outputs` out to keep all that the task leaves")
    return tuple(sorted(paths))


def input_name(field: str, name: str) -> str:
    """The name of an input, which becomes the name of a folder."""
    if name in ("", ".", "..") or "/" in name or len(name.encode()) > MAX_NAME_BYTES:
        raise BadTask(field, f"the name {name[:80]!r} can't be a folder's: no slash, not '.' or '..', up to 255 bytes")
    return name


def resources(field: str, value: Any) -> Resources:
    """`{cores: 2, memory: 4GiB, scratch: 10GiB}`; what is left out has its default."""
    given = mapping(field, value)
    check_keys(given, Resources.__struct_fields__, field)
    read: dict[str, Any] = {name: mebibytes(f"{field}.{name}", given[name]) for name in given if name != "cores"}
    if "cores" in given:
        read["cores"] = integer(f"{field}.cores", given["cores"], 1, 4096)
    return Resources(**read)


def mebibytes(field: str, value: Any) -> int:
    """A size with its unit (`512MiB`, `1.5 GiB`, `2GB`) in MiB, rounded up."""
    return ceil(_quantity(field, value, _BYTES, "a size with its unit, like 512MiB or 2GiB") / 1024**2)


def milliseconds(field: str, value: Any) -> int:
    """A time with its unit (`90s`, `10m`, `2h`) in ms, rounded up; 0 needs none."""
    if value == 0 and not isinstance(value, bool):
        return 0
    return ceil(_quantity(field, value, _MILLISECONDS, "a time with its unit, like 90s, 10m or 2h"))


def kind(value: Any) -> str:
    """What a value is, in an error."""
    names = {dict: "a mapping", list: "a list", type(None): "null"}
    return names.get(type(value)) or repr(value)[:60]


def _quantity(field: str, value: Any, units: Mapping[str, int], wanted: str) -> Fraction:
    match = _QUANTITY.fullmatch(value) if isinstance(value, str) else None
    if match is None or match[2] not in units:
        raise BadTask(field, f"must be {wanted}, not {kind(value)}")
    quantity = Fraction(match[1]) * units[match[2]]
    if quantity > MAX_SAFE_INTEGER:
        raise BadTask(field, f"{value} is too large")
    return quantity
