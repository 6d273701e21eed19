"""From what a page shows to HTML: Jinja's templates, which escape all that others wrote, and a few words of time."""

from datetime import UTC, datetime
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

from gateway.pages.plots import length
from gateway.plain import plain

if TYPE_CHECKING:
    from jinja2 import Environment

_WORDS = {
    "todo": "queued",
    "claimed": "asked for",
    "complete": "executed",
    "assembling": "assembling",
    "done": "done",
}


@cache
def _environment() -> "Environment":
    from jinja2 import DictLoader, Environment, StrictUndefined  # needed only where somebody looks at a page

    folder = files("gateway.pages").joinpath("templates")
    sources = {entry.name: entry.read_text("utf-8") for entry in folder.iterdir() if entry.name.endswith(".html")}
    made = Environment(
        loader=DictLoader(sources), autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    made.filters |= {
        "length": length,
        "moment": moment,
        "iso": iso,
        "bytes": size,
        "text": text,
        "word": word,
        "segment": segment,
        "short": short,
    }
    return made


def page(template: str, values: dict[str, Any]) -> str:
    """The whole page."""
    return _environment().get_template(template).render(values)


def main_of(template: str, values: dict[str, Any]) -> str:
    """The part of a page that a live one exchanges."""
    found = _environment().get_template(template)
    return "".join(found.blocks["main"](found.new_context(values)))


def moment(milliseconds: int) -> str:
    """A time for people, where no script rewrites it to their own clock's."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def iso(milliseconds: int) -> str:
    """The same for programs."""
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def size(number: int) -> str:
    """A number of bytes."""
    for unit, name in ((2**30, "GiB"), (2**20, "MiB"), (2**10, "KiB")):
        if number >= unit:
            return f"{number / unit:.3g} {name}"
    return f"{number} B"


def text(value: str) -> str:
    """What others wrote, in one line, with nothing in it that changes how the rest is read."""
    return plain(value).replace("\n", " ")


def word(state: str) -> str:
    """A state as people say it."""
    return _WORDS.get(state, state)


def segment(value: str) -> str:
    """A part of a URL's path."""
    return quote(value, safe="")


def short(value: str, length: int = 16) -> str:
    """The beginning of a long name."""
    return value if len(value) <= length else f"{value[:length]}…"
