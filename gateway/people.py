"""Users, groups and grants made on this machine: changes of settings, which go through the log like everything else."""

import re

from coordinator.ids import derive
from gateway.client import PATIENCE, Client, local_login
from gateway.problems import Refused
from gateway.session import Session
from readmodel import listing, queries
from readmodel.connection import connect
from readmodel.sight import Sight, view
from readmodel.watch import Watch
from schemas.codec import decode
from schemas.reasons import Outcome
from schemas.settings import Change, GrantRemoved, GrantSet, GroupSet, UserSet
from schemas.topics import Topic
from streams.answers import Answers
from streams.log import Log, Place

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.@-]{0,63}")
_USER_INFIX = "-tpzed-"  # as in Arvados's uuids of users
MOST = 100_000  # groups or grants that are listed
_GROUP_INFIX = "-j7d0g-"  # and of groups


def user_set(name: str, *, is_admin: bool = False) -> UserSet:
    """The change that makes a user. The uuid is derived from the name: made twice, it is one user."""
    return UserSet(user=_uuid("user", checked_name(name), _USER_INFIX), name=name, is_admin=is_admin)


def group_uuid(name: str) -> str:
    """The uuid of the group of this name."""
    return _uuid("group", name, _GROUP_INFIX)


def ensure_local_user(log: Log, dsn: str) -> None:
    """Make the user who runs this, once, as an ordinary one: an operator's rights are given by name, not by place.

    Returns when the read model knows them. Raises LogError, NoAnswer, ReadModelError.
    """
    name = local_login()
    if not _is_set(log, name):
        answers = Answers(log)
        answers.append_and_wait(Topic.SETTINGS, user_set(name), PATIENCE)
        answers.close()
    with connect(dsn) as rows:
        Watch(rows).until(lambda: queries.user_named(rows, name), PATIENCE)


def _is_set(log: Log, name: str) -> bool:
    """Whether the settings have, or had, a user of this name: read in the log, where nothing is late."""
    place, position = Place(Topic.SETTINGS, 0), 0
    while batch := log.read(place, position, 1_000):
        position = batch[-1].offset + 1
        for record in batch:
            envelope = decode(Topic.SETTINGS, record.value)
            body = getattr(envelope, "body", None)
            if isinstance(body, UserSet) and body.name == name:
                return True
    return False


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
        standing = f"{'  admin' if user.is_admin else ''}{'' if user.is_active else '  disabled'}"
        session.say(f"{user.uuid}  {user.name}{standing}")


def set_active(session: Session, name: str, *, is_active: bool) -> None:
    """Let a user be an active one, or not."""
    with Client(session) as client:
        user = queries.user_named(client.rows, name)
    if user is None:
        raise Refused(f"there is no user {name[:80]!r}: see crunch-reuse user list")
    change = UserSet(user=user.uuid, name=user.name, is_admin=user.is_admin, is_active=is_active)
    _change(session, change, user.uuid, f"user {name} is {'active' if is_active else 'disabled'}")


def add_group(session: Session, name: str, owner: str) -> None:
    """Make a group, owned by a user or group given by name or uuid."""
    group = group_uuid(checked_name(name))
    change = GroupSet(group=group, name=name, owner=find(session, owner))
    _change(session, change, group, f"group {name} is {group}")


def list_groups(session: Session) -> None:
    """Print the groups."""
    rows, names = _all_of(session, "groups")
    found = [{"uuid": row["uuid"], "name": row["name"], "owner": row["owner_uuid"]} for row in rows]
    if session.as_json:
        session.result(found)
    for group in found:
        session.say(f"{group['uuid']}  {group['name']}  of {names.get(group['owner'], group['owner'])}")


def list_grants(session: Session) -> None:
    """Print who may read what whom owns."""
    rows, names = _all_of(session, "links")
    found = [{"subject": row["tail_uuid"], "object": row["head_uuid"]} for row in rows]
    if session.as_json:
        session.result(found)
    for one in found:
        subject, thing = (names.get(uuid, uuid) for uuid in (one["subject"], one["object"]))
        session.say(f"{subject} may read what {thing} owns")


def _all_of(session: Session, source: str) -> tuple[listing.Rows, dict[str, str]]:
    """All rows of a list, and the names of users and groups by uuid."""
    everything = Sight(everything=True, owners=[])
    with Client(session) as client:
        rows, groups = (
            listing.page(client.rows, one, everything, "", listing.Asked(limit=MOST, counted=False))[0]
            for one in (source, "groups")
        )
        names = {user.uuid: user.name for user in queries.users(client.rows)}
    return rows, names | {group["uuid"]: group["name"] for group in groups}


def grant(session: Session, subject: str, object_: str) -> None:
    """Let `subject` read what `object_` owns."""
    change = GrantSet(subject=find(session, subject), object=find(session, object_))
    _change(session, change, change.subject, f"{subject} may read what {object_} owns")


def revoke(session: Session, subject: str, object_: str) -> None:
    """Take a grant back."""
    change = GrantRemoved(subject=find(session, subject), object=find(session, object_))
    _change(session, change, change.subject, f"{subject} may no longer read what {object_} owns")


def _change(session: Session, change: Change, uuid: str, done: str) -> None:
    with Client(session) as client:
        answer = client.ask(Topic.SETTINGS, change)
    if session.as_json:
        session.result({"uuid": uuid, "outcome": answer.outcome, "detail": answer.detail})
    session.say(f"nothing to do: {answer.detail}" if answer.outcome is Outcome.NOTHING else done)


def find(session: Session, name: str) -> str:
    """The uuid of a user or group given by name or uuid."""
    with Client(session) as client:
        known = view(client.rows)
        user = queries.user_named(client.rows, name)
    if user is not None:
        return user.uuid
    for uuid in (name, group_uuid(name)):
        if uuid in known.users or uuid in known.groups:
            return uuid
    raise Refused(f"there is no user or group {name!r}: see crunch-reuse user list")


def is_login_name(name: str) -> bool:
    """Whether a user or group can have this name."""
    return _NAME.fullmatch(name) is not None


def checked_name(name: str) -> str:
    """The name, if a user or group can have it; else Refused."""
    if not is_login_name(name):
        raise Refused(f"name: {name[:80]!r} is no login name: letters, digits and _ . @ - up to 64, no leading - . @")
    return name


def _uuid(kind: str, name: str, infix: str) -> str:
    prefix, _, digits = derive(kind, name).split("-")
    return f"{prefix}{infix}{digits}"
