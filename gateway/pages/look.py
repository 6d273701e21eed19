"""One look at a page: who looks, at what, and the parts that the answer is found with."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, NamedTuple

from gateway.api.errors import not_found
from gateway.api.service import Caller, Service
from gateway.pages.scout import Scout
from readmodel.connection import Connection

PAGE = 50  # rows
FURTHEST = 100_000  # pages

Data = dict[str, Any]


class Look(NamedTuple):
    """`names`: what the path names; `query`: what follows the question mark."""

    service: Service
    scout: Scout
    caller: Caller
    names: dict[str, str]
    query: dict[str, str]

    @property
    def viewer(self) -> str:
        """The uuid of the user who looks."""
        return self.caller.uuid

    @contextmanager
    def rows(self) -> Iterator[Connection]:
        """A connection for a short while. Raises ReadModelUnreachable."""
        with self.service.rows() as connection:
            yield connection

    @property
    def number(self) -> int:
        """Which page of a long list, from 1."""
        text = self.query.get("page", "1")
        return min(max(int(text), 1), FURTHEST) if text.isascii() and text.isdigit() and len(text) < 9 else 1

    @property
    def offset(self) -> int:
        """Rows before that page."""
        return (self.number - 1) * PAGE

    def for_operators(self) -> None:
        """ApiError 404 for everybody who may not see everything: how much others do is not theirs to know."""
        if not self.caller.sight.everything:
            raise not_found()


class View(NamedTuple):
    """A page: its path, what it shows, and the template that shows it. `section`: the page that it belongs to."""

    path: str
    template: str
    title: str
    build: Callable[[Look], Data]
    section: str = ""


def paged(look: Look, found: list[Any], size: int = PAGE) -> Data:
    """One row more than fits was asked for: whether there is a next page."""
    return {"rows": found[:size], "page": look.number, "has_more": len(found) > size}
