"""From a call to the method that answers it: the path, the token and its scopes, then the method."""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.api import filters, render
from gateway.api.complete import complete
from gateway.api.errors import forbidden, invalid, not_found
from gateway.api.request import Call
from gateway.api.schema import Method, Resource
from gateway.api.service import Caller, Service
from readmodel import listing

PAGE = 100
MOST = 1_000
ROOT = ("arvados", "v1")
KEEP_SERVICES = (*ROOT, "keep_services", "accessible")
Object = dict[str, Any]
Handler = Callable[[Caller, Call, str], Object]  # the last: uuid of the object that the path names, or empty


class Dispatcher:
    """`own`: for a resource's and a method's name what answers it; the methods of reading are the same for all."""

    def __init__(
        self, service: Service, resources: Mapping[str, Resource], own: Mapping[tuple[str, str], Handler]
    ) -> None:
        self.service = service
        self.resources = resources
        self._own = own

    def answer(self, call: Call) -> Object:
        """The object to reply with. Raises ApiError."""
        caller = self.service.caller(call.token)
        check_scopes(caller, call)
        resource, method, uuid = self._route(call)
        filters.select(resource, call.option("select"))  # what is wrong with it is told before anything is done
        caller.admit(resource, method.name, call, uuid)
        handler = self._own.get((resource.name, method.name))
        if handler is not None:
            return handler(caller, call, uuid)
        if method.name in ("list", "index"):
            return list_of(resource, caller, call)
        return get(resource, caller, call, uuid)

    def _route(self, call: Call) -> tuple[Resource, Method, str]:
        if call.path[:2] != ROOT or len(call.path) < 3 or call.path[2] not in self.resources:
            raise not_found()
        resource, rest = self.resources[call.path[2]], call.path[3:]
        verb = {"HEAD": "GET", "PATCH": "PUT"}.get(call.verb, call.verb)
        for method in sorted(resource.methods, key=lambda one: "{uuid}" in one.path):
            names = tuple(part for part in method.path.split("/") if part)
            if method.verb == verb and _fits(names, rest):
                return resource, method, next((r for n, r in zip(names, rest, strict=True) if n == "{uuid}"), "")
        raise not_found()


def _fits(names: tuple[str, ...], rest: tuple[str, ...]) -> bool:
    return len(names) == len(rest) and all(name in ("{uuid}", part) for name, part in zip(names, rest, strict=True))


def check_scopes(caller: Caller, call: Call) -> None:
    """A scope is `all`, or a verb and a path; one that ends with a slash is for all below it. ApiError 403.

    `store` is for other machines of this system: blocks and where they are, and nothing else.
    """
    if caller.is_of_a_machine and (len(call.path) == 1 or call.path == KEEP_SERVICES):
        return
    wanted = f"{call.verb} /{'/'.join(call.path)}"
    for scope in caller.token.scopes:
        if scope == "all" or scope == wanted or (scope.endswith("/") and wanted.startswith(scope)):
            return
    raise forbidden("Forbidden: the token's scopes don't include this")


def list_of(resource: Resource, caller: Caller, call: Call) -> Object:
    """A page of what the caller may read."""
    select = filters.select(resource, call.option("select"))
    asked, seen = asked_page(resource, call), caller.sight
    with caller.service.rows() as connection:
        rows, total = listing.page(connection, resource.name, seen, caller.uuid, asked)
    complete(resource.name, caller, rows)
    items = [render.shown(resource, row, select) for row in rows]
    return render.listed(resource, items, asked.offset, asked.limit, total)


def asked_page(resource: Resource, call: Call) -> listing.Asked:
    """What page is asked for. ApiError 422."""
    count = call.option("count")
    if count not in (None, "", "exact", "none"):
        raise invalid("count: must be exact or none")
    if call.flag("distinct"):
        raise invalid("distinct: objects are listed one by one here: leave it out")
    return listing.Asked(
        filters.terms(resource, call.option("filters"), call.option("where")),
        filters.order(resource, call.option("order")),
        call.number("limit", PAGE, MOST),
        call.number("offset", 0, 2**31 - 1),
        counted=count != "none",
    )


def get(resource: Resource, caller: Caller, call: Call, uuid: str) -> Object:
    """One object that the caller may read. ApiError 404, also for one that is not theirs to see."""
    row = row_of(resource, caller, uuid)
    complete(resource.name, caller, [row])
    return render.shown(resource, row, filters.select(resource, call.option("select")))


def row_of(resource: Resource, caller: Caller, uuid: str) -> dict[str, Any]:
    """The row of one object that the caller may read. ApiError 404."""
    seen = caller.sight
    with caller.service.rows() as connection:
        row = listing.one(connection, resource.name, seen, caller.uuid, uuid)
    if row is None:
        raise not_found()
    return row
