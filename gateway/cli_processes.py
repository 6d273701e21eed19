"""The commands that run something until they are stopped, and those that look after it."""

from pathlib import Path
from typing import Annotated, Literal

import typer

from gateway.options import Runner, Slots, app, command, option, store_app
from gateway.session import Session


@command(app, "up", option("runner", Runner), option("slots", Slots))
def _up(
    session: Session,
    no_dispatch: Annotated[bool, typer.Option("--no-dispatch", help="Decide, but run nothing here.")] = False,
    until_eof: Annotated[bool, typer.Option(hidden=True, help="Stop when standard input ends.")] = False,
) -> int:
    """Run everything in this process: database, rules, executor, read model. Ctrl-C stops it; nothing is lost."""
    from gateway import up

    return up.run(session, dispatch=not no_dispatch, until_eof=until_eof)


Name = Annotated[
    str | None, typer.Option("--name", help="Its name on this machine, where several run.", show_default=False)
]
Node = Annotated[str | None, typer.Option("--node", help="This node's name.", show_default="the host's")]


@command(app, "coordinator")
def _coordinator(
    session: Session,
    standby: Annotated[bool, typer.Option("--standby", help="Follow all; decide when who does is dead.")] = False,
    name: Name = None,
) -> int:
    """Run the machines that decide. Several share the work; Ctrl-C hands it over."""
    from gateway import process, wiring_roles

    return process.run(session, wiring_roles.coordinator(session.config, name or "", standby=standby))


@command(app, "executor", option("node", Node), option("runner", Runner), option("slots", Slots))
def _executor(session: Session) -> int:
    """Run tasks on this node. Ctrl-C gives back what runs."""
    from gateway import process, wiring_roles

    return process.run(session, wiring_roles.executor(session.config))


@command(app, "projector")
def _projector(
    session: Session,
    what: Annotated[
        Literal["rebuild"] | None,
        typer.Argument(help="Make the read model anew from the log, and end. The present one serves meanwhile."),
    ] = None,
    name: Name = None,
) -> int:
    """Keep the read model, join outputs, clean up. Several share the work; Ctrl-C hands it over."""
    from gateway import process, readmodels, wiring_roles

    if what == "rebuild":
        return readmodels.rebuild(session)

    return process.run(session, wiring_roles.projector(session.config, name or ""))


@command(app, "views")
def _views(
    session: Session,
    listen: Annotated[
        str, typer.Option("--listen", metavar="HOST:PORT", help="Where they are shown.")
    ] = "127.0.0.1:6066",
    name: Annotated[str, typer.Option("--name", help="Its name on this machine, where several run.")] = "views",
    show: Annotated[
        int | None, typer.Option("--show", metavar="MINUTES", min=1, help="Print these from Postgres, and end.")
    ] = None,
) -> int:
    """Keep the live views of a log in Kafka: reuse, savings, waiting, failures, minute by minute."""
    from gateway import liveviews

    if show is not None:
        liveviews.show(session, show)
        return 0
    return liveviews.run(session, listen, name)


@command(app, "backup")
def _backup(session: Session, folder: Annotated[Path, typer.Argument(help="Where to; a second one adds.")]) -> None:
    """Save log, store and secrets, also while everything runs."""
    from gateway.backup import save

    save.run(session, folder)


@command(app, "restore")
def _restore(
    session: Session,
    folder: Annotated[Path, typer.Argument(help="What backup made.")],
    registry: Annotated[
        bool, typer.Option("--registry", help="Only what the API keeps in Postgres; Kafka still has the log.")
    ] = False,
) -> None:
    """Make this machine, which must be empty, of a backup."""
    from gateway.backup import bring

    if registry:
        bring.registry_alone(session, folder)
    else:
        bring.run(session, folder)


@command(app, "upgrade")
def _upgrade(
    session: Session,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")] = False,
) -> None:
    """Bring data of an earlier release to this one's layouts, while nothing runs on them."""
    from gateway import upgrade

    upgrade.run(session, dry_run=dry_run)


@command(store_app, "create")
def _store_create(session: Session) -> None:
    """Make the store that all machines share, once."""
    from gateway import stores

    stores.create(session)


@command(app, "doctor")
def _doctor(
    session: Session,
    ready: Annotated[str | None, typer.Option("--ready", metavar="NAME", help="Ask one process only.")] = None,
) -> int:
    """Look whether this machine has what is needed, and say what to do where it has not."""
    if ready:
        from gateway import health  # asked every few seconds: it should cost little

        return health.tell(session, ready)
    from gateway import doctor

    return doctor.run(session)
