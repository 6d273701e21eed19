"""Users, groups and permission links: what Arvados calls them, over the settings in the log."""

import hashlib
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from msgspec import structs

from gateway.api.dispatch import Handler, Object, get, row_of
from gateway.api.errors import ApiError, forbidden, invalid
from gateway.api.request import Call
from gateway.api.schema import GROUPS, LINKS, USERS
from gateway.api.service import Caller
from gateway.people import user_set
from readmodel import registry
from schemas.settings import GrantRemoved, GrantSet, GroupSet, UserSet

# One user is changed at a time: who does so has a connection in hand, and needs another one for the log's answer.
_changing = threading.Lock()
PATIENCE = 2.0  # seconds


def current(caller: Caller, call: Call, _: str) -> Object:
    """The user whose token this is."""
    return get(USERS, caller, call, caller.uuid)


def create_user(caller: Caller, call: Call, _: str) -> Object:
    """Make a user. Only an admin may."""
    given = call.attributes(USERS, "create")
    _require_admin(caller)
    change = user_set(given.get("username") or "", is_admin=bool(given.get("is_admin")))
    if caller.people.standing(change.user) is not None:
        raise invalid("username: there is a user of this name")
    return get(USERS, caller.change_settings(_with_activity(change, given)), call, change.user)


def update_user(caller: Caller, call: Call, uuid: str) -> Object:
    """Let a user be active or an admin, or not. Only an admin may."""
    row_of(USERS, caller, uuid)
    given = call.attributes(USERS, "update")
    _require_admin(caller)
    with _one_at_a_time(), caller.service.rows() as connection, registry.alone(connection, f"user {uuid}"):
        row = row_of(USERS, caller, uuid)  # what another says of this user meanwhile stays so
        is_admin = row["is_admin"] if given.get("is_admin") is None else given["is_admin"]
        change = UserSet(user=uuid, name=row["username"], is_admin=is_admin, is_active=row["is_active"])
        changed = caller.change_settings(_with_activity(change, given))
    return get(USERS, changed, call, uuid)


@contextmanager
def _one_at_a_time() -> Iterator[None]:
    """Who waits for another's change waits for its answer, too, and holds a thread meanwhile."""
    if not _changing.acquire(timeout=PATIENCE):
        raise ApiError(503, "another change of a user is not answered yet: try again")
    try:
        yield
    finally:
        _changing.release()


def _with_activity(change: UserSet, given: dict[str, Any]) -> UserSet:
    return change if given.get("is_active") is None else structs.replace(change, is_active=given["is_active"])


def _require_admin(caller: Caller) -> None:
    if not caller.is_admin:
        raise forbidden("only an admin may make or change users")


def create_group(caller: Caller, call: Call, _: str) -> Object:
    """Make a group that belongs to the caller, or to a group of theirs."""
    given = call.attributes(GROUPS, "create")
    if given.get("group_class") not in (None, "project"):
        raise invalid("group_class: must be project")
    name, owner = _group_name(given), given.get("owner_uuid") or caller.uuid
    if not caller.may_write(owner):
        raise forbidden("owner_uuid: this is not yours to give things to")
    made = caller.new_uuid(call, GROUPS.infix)
    return get(GROUPS, caller.change_settings(GroupSet(group=made, name=name, owner=owner)), call, made)


def update_group(caller: Caller, call: Call, uuid: str) -> Object:
    """Give a group another name. Its owner may."""
    row = row_of(GROUPS, caller, uuid)
    if not caller.may_write(row["owner_uuid"]):
        raise forbidden("only its owner may change it")
    given = {"name": row["name"]} | call.attributes(GROUPS, "update")
    change = GroupSet(group=uuid, name=_group_name(given), owner=row["owner_uuid"])
    return get(GROUPS, caller.change_settings(change), call, uuid)


def _group_name(given: dict[str, Any]) -> str:
    name = given.get("name")
    if not name:
        raise invalid("name: must be given")
    return str(name)


def create_link(caller: Caller, call: Call, _: str) -> Object:
    """Let a user or group read what another owns: a permission link. Only who owns the head may."""
    given = call.attributes(LINKS, "create")
    if given.get("link_class") != "permission" or given.get("name") != "can_read":
        raise invalid("only links of link_class permission and name can_read are known here")
    tail, head = given.get("tail_uuid"), given.get("head_uuid")
    if not tail or not head:
        raise invalid("tail_uuid and head_uuid: both must be given")
    if not caller.may_write(head):
        raise forbidden("head_uuid: only its owner may let others read it")
    return get(LINKS, caller.change_settings(GrantSet(subject=tail, object=head)), call, link_uuid(tail, head))


def delete_link(caller: Caller, call: Call, uuid: str) -> Object:
    """Take a permission back."""
    row = row_of(LINKS, caller, uuid)
    if not caller.may_write(row["head_uuid"]):
        raise forbidden("only the owner of what it opens may take it back")
    shown = get(LINKS, caller, call, uuid)
    caller.change_settings(GrantRemoved(subject=row["tail_uuid"], object=row["head_uuid"]))
    return shown


def link_uuid(tail: str, head: str) -> str:
    """The uuid of the link from one to the other, as `listing.sql` makes it."""
    digits = hashlib.md5(f"{tail} {head}".encode(), usedforsecurity=False).hexdigest()
    return f"{tail[:5]}-{LINKS.infix}-{digits[:15]}"


HANDLERS: dict[tuple[str, str], Handler] = {
    ("users", "current"): current,
    ("users", "create"): create_user,
    ("users", "update"): update_user,
    ("groups", "create"): create_group,
    ("groups", "update"): update_group,
    ("links", "create"): create_link,
    ("links", "delete"): delete_link,
}
