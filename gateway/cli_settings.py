"""The commands about the numbers, and the version of the rules, that all decisions depend on."""

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


@command(setting_app, "rules")
def _setting_rules(
    session: Session,
    version: Annotated[
        int | None, typer.Argument(min=1, help="The version that decides from here on.", show_default=False)
    ] = None,
) -> None:
    """Say which version of the rules decides, or raise it, once all coordinators know the new one."""
    from gateway import systemsettings

    if version is None:
        systemsettings.show_rules(session)
    else:
        systemsettings.raise_rules(session, version)
