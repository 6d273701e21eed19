"""The commands about users, groups and who may read what."""

from typing import Annotated

import typer

from gateway.options import command, grant_app, group_app, user_app
from gateway.session import Session


@command(user_app, "add")
def _user_add(
    session: Session,
    name: Annotated[str, typer.Argument(help="Login name.")],
    admin: Annotated[bool, typer.Option("--admin", help="May read everything.")] = False,
) -> None:
    """Make a user."""
    from gateway import people

    people.add_user(session, name, is_admin=admin)


@command(user_app, "list")
def _user_list(session: Session) -> None:
    """List the users."""
    from gateway import people

    people.list_users(session)


@command(user_app, "disable")
def _user_disable(session: Session, name: Annotated[str, typer.Argument(help="Login name.")]) -> None:
    """Let a user's tokens open nothing, and the user read nothing but their own. What they made stays."""
    from gateway import people

    people.set_active(session, name, is_active=False)


@command(user_app, "enable")
def _user_enable(session: Session, name: Annotated[str, typer.Argument(help="Login name.")]) -> None:
    """Take that back."""
    from gateway import people

    people.set_active(session, name, is_active=True)


@command(group_app, "add")
def _group_add(
    session: Session,
    name: Annotated[str, typer.Argument(help="The group's name.")],
    owner: Annotated[str, typer.Option("--owner", help="User or group that owns it.")],
) -> None:
    """Make a group, owned by a user or a group."""
    from gateway import people

    people.add_group(session, name, owner)


@command(group_app, "list")
def _group_list(session: Session) -> None:
    """List the groups, and who owns them."""
    from gateway import people

    people.list_groups(session)


Subject = Annotated[str, typer.Argument(help="User or group that may read.")]
Object = Annotated[str, typer.Argument(help="User or group whose things may be read.")]


@command(grant_app, "add")
def _grant_add(session: Session, subject: Subject, object_: Object) -> None:
    """Let one read what another owns."""
    from gateway import people

    people.grant(session, subject, object_)


@command(grant_app, "remove")
def _grant_remove(session: Session, subject: Subject, object_: Object) -> None:
    """Take that back."""
    from gateway import people

    people.revoke(session, subject, object_)


@command(grant_app, "list")
def _grant_list(session: Session) -> None:
    """List who may read what others own."""
    from gateway import people

    people.list_grants(session)
