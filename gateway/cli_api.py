"""The commands of the API: the server alone, and tokens."""

from typing import Annotated

import typer

from gateway.options import app, command, repository_app, token_app
from gateway.session import Session


@command(app, "api")
def _api(
    session: Session, name: Annotated[str, typer.Option("--name", help="Its name on this machine.")] = "api"
) -> int:
    """Serve the Arvados API beside a running system: reads the same database, writes the same log."""
    from gateway import process, wiring_roles

    return process.run(session, wiring_roles.api(session, name))


@command(token_app, "create")
def _token_create(
    session: Session,
    user: Annotated[str | None, typer.Option("--user", help="Whose it is.", show_default="you")] = None,
    label: Annotated[str, typer.Option("--label", help="What it is for.")] = "",
    days: Annotated[int | None, typer.Option("--days", min=1, help="How long it is good.")] = None,
    scope: Annotated[
        list[str] | None, typer.Option("--scope", help="Only this: a verb and a path, `GET /arvados/v1/jobs`.")
    ] = None,
) -> None:
    """Make a token and print it, this once."""
    from gateway import tokens

    tokens.create(session, user, label, days, scope or [])


@command(token_app, "list")
def _token_list(session: Session) -> None:
    """List the tokens, without what they are."""
    from gateway import tokens

    tokens.list_tokens(session)


@command(token_app, "revoke")
def _token_revoke(session: Session, uuid: Annotated[str, typer.Argument(help="The token's own uuid.")]) -> None:
    """End a token."""
    from gateway import tokens

    tokens.revoke(session, uuid)


@command(token_app, "show")
def _token_show(session: Session) -> None:
    """Print how Arvados' clients find the API of the running `up`: use it as eval $(crunch-reuse token show)."""
    from gateway import tokens

    tokens.show(session)


@command(repository_app, "add")
def _repository_add(
    session: Session,
    name: Annotated[str, typer.Argument(help="What jobs call it.")],
    place: Annotated[str, typer.Argument(metavar="PATH|URL", help="Where it is.")],
    owner: Annotated[str | None, typer.Option("--owner", help="Whose it is.", show_default="everybody's")] = None,
) -> None:
    """Make a git repository known to the API under a name."""
    from gateway import repositories

    repositories.add(session, name, place, owner)


@command(repository_app, "assume-pure")
def _repository_assume_pure(
    session: Session,
    name: Annotated[str, typer.Argument(help="The repository.")],
    script: Annotated[str, typer.Argument(help="The script, as jobs name it.")],
    commits: Annotated[str, typer.Option("--commits", help="A branch, tag or commit, or a range A..B.")],
) -> None:
    """Declare that a script's tasks are pure although they don't say so, as those of Crunch v1 never do."""
    from gateway import repositories

    repositories.assume_pure(session, name, script, commits)


@command(repository_app, "list")
def _repository_list(session: Session) -> None:
    """List the repositories that are known."""
    from gateway import repositories

    repositories.list_repositories(session)


@command(repository_app, "remove")
def _repository_remove(session: Session, name: Annotated[str, typer.Argument(help="Its name.")]) -> None:
    """Forget a repository. What was made from it stays."""
    from gateway import repositories

    repositories.remove(session, name)
