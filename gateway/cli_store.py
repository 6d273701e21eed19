"""The commands that look after what is kept: the store's content, and the entries that others may be given."""

from typing import Annotated

import typer

from gateway.options import AsUser, cache_app, command, store_app
from gateway.session import Session

DryRun = Annotated[bool, typer.Option("--dry-run", help="Say what would be done; do nothing.")]


@command(store_app, "gc")
def _store_gc(
    session: Session,
    grace: Annotated[
        float | None,
        typer.Option(
            "--grace",
            min=0.0,
            show_default="as long as a client may name what it uploaded: 14",
            help="Days that content is kept although unused.",
        ),
    ] = None,
    dry_run: DryRun = False,
    force: Annotated[
        bool, typer.Option("--force", help="Go on although manifests are missing: what only they name is lost.")
    ] = False,
) -> int:
    """Free content that nothing refers to. Safe while everything runs."""
    from gateway import storekeeping

    return storekeeping.gc(session, grace=grace, dry_run=dry_run, force=force)


@command(store_app, "check")
def _store_check(session: Session) -> int:
    """Read all content, and say what is damaged or missing."""
    from gateway import storekeeping

    return storekeeping.check(session)


@command(cache_app, "ls")
def _cache_ls(
    session: Session,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="At most so many, used longest ago first.")] = 50,
    as_user: AsUser = None,
) -> None:
    """List the outputs that can be given to you, with their use."""
    from gateway import cache

    cache.ls(session, as_user, limit)


@command(cache_app, "rm")
def _cache_rm(
    session: Session,
    task: Annotated[str | None, typer.Argument(help="A task whose execution is to go.", show_default=False)] = None,
    older: Annotated[str | None, typer.Option("--older-than", metavar="AGE", help="All made longer ago: 90d.")] = None,
    unused: Annotated[
        str | None, typer.Option("--unused-for", metavar="AGE", help="All last used earlier: 30d.")
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do it; without this, only list them.")] = False,
    as_user: AsUser = None,
) -> None:
    """Take your own outputs out of reuse, by age or by last use; as an admin everybody's."""
    from gateway import cache

    cache.rm(session, as_user, cache.Old(task, older, unused), yes=yes)


@command(cache_app, "stats")
def _cache_stats(session: Session, as_user: AsUser = None) -> None:
    """What reuse saved you, and what others saved by your work."""
    from gateway import cache

    cache.stats(session, as_user)
