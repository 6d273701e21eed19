"""The commands about the numbers that all decisions depend on."""

from typing import Annotated

import typer

from gateway.options import command, setting_app
from gateway.session import Session


@command(setting_app, "list")
def _setting_list(session: Session) -> None:
    """List the numbers that decisions depend on, and what they mean."""
    from gateway import systemsettings

    systemsettings.list_all(session)


@command(setting_app, "set")
def _setting_set(
    session: Session,
    name: Annotated[str, typer.Argument(help="Which, as `setting list` names it.")],
    value: Annotated[int, typer.Argument(help="The new value.")],
) -> None:
    """Change one, for all machines, from here on."""
    from gateway import systemsettings

    systemsettings.set_one(session, name, value)
