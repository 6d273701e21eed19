"""Users, groups and grants made on this machine: changes of settings, which go through the log like everything else."""

import re

from coordinator.ids import derive
from gateway.client import Client
from gateway.problems import Refused
from gateway.session import Session
from readmodel import queries
from readmodel.sight import view
from schemas.reasons import Outcome
from schemas.settings import Change, GrantRemoved, GrantSet, GroupSet, UserSet
from schemas.topics import Topic

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_USER_INFIX = "-tpzed-"  # as in Arvados's uuids of users
_GROUP_INFIX = "-j7d0g-"  # and of groups


def user_set(name: str, *, is_admin: bool = False) -> UserSet:
    """The change that makes a user. The uuid is derived from the name: made twice, it is one user."""
    return UserSet(user=_uuid("user", _checked(name), _USER_INFIX), name=name, is_admin=is_admin)


def add_user(session: Session, name: str, *, is_admin: bool) -> None:
    """Make a user."""
    change = user_set(name, is_admin=is_admin)
    _change(session, change, change.user, f"user {name} is {change.user}")


def list_users(session: Session) -> None:
    """Print the users."""
    with Client(session) as client:
        users = queries.users(client.rows)
    if session.as_json:
        session.result(users)
    for user in users:
        session.say(f"{user.uuid}  {user.name}{'  admin' if user.is_admin else ''}")


def add_group(session: Session, name: str, owner: str) -> None:
    """Make a group, owned by a user or group given by name or uuid."""
    group = _uuid("group", _checked(name), _GROUP_INFIX)
    change = GroupSet(group=group, name=name, owner=_find(session, owner))
    _change(session, change, group, f"group {name} is {group}")


def grant(session: Session, subject: str, object_: str) -> None:
    """Let `subject` read what `object_` owns."""
    change = GrantSet(subject=_find(session, subject), object=_find(session, object_))
    _change(session, change, change.subject, f"{subject} may read what {object_} owns")


def revoke(session: Session, subject: str, object_: str) -> None:
    """Take a grant back."""
    change = GrantRemoved(subject=_find(session, subject), object=_find(session, object_))
    _change(session, change, change.subject, f"{subject} may no longer read what {object_} owns")


def _change(session: Session, change: Change, uuid: str, done: str) -> None:
    with Client(session) as client:
        answer = client.ask(Topic.SETTINGS, change)
    if session.as_json:
        session.result({"uuid": uuid, "outcome": answer.outcome, "detail": answer.detail})
    session.say(f"nothing to do: {answer.detail}" if answer.outcome is Outcome.NOTHING else done)


def _find(session: Session, name: str) -> str:
    """The uuid of a user or group given by name or uuid."""
    with Client(session) as client:
        known = view(client.rows)
        user = queries.user_named(client.rows, name)
    if user is not None:
        return user.uuid
    for uuid in (name, _uuid("group", name, _GROUP_INFIX)):
        if uuid in known.users or uuid in known.groups:
            return uuid
    raise Refused(f"there is no user or group {name!r}: see crunch-reuse user list")


def _checked(name: str) -> str:
    if not _NAME.fullmatch(name):
        raise Refused(f"name: {name[:80]!r} is no login name: letters, digits and _ . @ - up to 64, no leading - . @")
    return name


def _uuid(kind: str, name: str, infix: str) -> str:
    prefix, _, digits = derive(kind, name).split("-")
    return f"{prefix}{infix}{digits}"
