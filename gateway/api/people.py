"""Users, groups and permission links: what Arvados calls them, over the settings in the log."""

import hashlib

from gateway.api.dispatch import Handler, Object, get, row_of
from gateway.api.errors import forbidden, invalid
from gateway.api.request import Call
from gateway.api.schema import GROUPS, LINKS, USERS
from gateway.api.service import Caller
from schemas.settings import GrantRemoved, GrantSet, GroupSet
from schemas.topics import Topic

LONGEST_NAME = 255


def current(caller: Caller, call: Call, _: str) -> Object:
    """The user whose token this is."""
    return get(USERS, caller, call, caller.uuid)


def create_group(caller: Caller, call: Call, _: str) -> Object:
    """Make a group that belongs to the caller, or to a group of theirs."""
    given = call.attributes(GROUPS, "create")
    if given.get("group_class") not in (None, "project"):
        raise invalid("group_class: must be project")
    name, owner = given.get("name"), given.get("owner_uuid") or caller.uuid
    if not name or len(name) > LONGEST_NAME:
        raise invalid(f"name: must be given, of at most {LONGEST_NAME} characters")
    if not caller.may_write(owner):
        raise forbidden("owner_uuid: this is not yours to give things to")
    made = caller.new_uuid(call, GROUPS.infix)
    caller.service.ask(Topic.SETTINGS, GroupSet(group=made, name=name, owner=owner))
    return get(GROUPS, caller, call, made)


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
    caller.service.ask(Topic.SETTINGS, GrantSet(subject=tail, object=head))
    return get(LINKS, caller, call, link_uuid(tail, head))


def delete_link(caller: Caller, call: Call, uuid: str) -> Object:
    """Take a permission back."""
    row = row_of(LINKS, caller, uuid)
    if not caller.may_write(row["head_uuid"]):
        raise forbidden("only the owner of what it opens may take it back")
    shown = get(LINKS, caller, call, uuid)
    caller.service.ask(Topic.SETTINGS, GrantRemoved(subject=row["tail_uuid"], object=row["head_uuid"]))
    return shown


def link_uuid(tail: str, head: str) -> str:
    """The uuid of the link from one to the other, as `listing.sql` makes it."""
    digits = hashlib.md5(f"{tail} {head}".encode(), usedforsecurity=False).hexdigest()
    return f"{tail[:5]}-{LINKS.infix}-{digits[:15]}"


HANDLERS: dict[tuple[str, str], Handler] = {
    ("users", "current"): current,
    ("groups", "create"): create_group,
    ("links", "create"): create_link,
    ("links", "delete"): delete_link,
}
