"""The commands by which an operator judges executions."""

from typing import Annotated

import typer

from gateway.options import AsUser, app, command
from gateway.session import Session

Task = Annotated[
    str | None, typer.Argument(help="A task: the execution that it has the output of.", show_default=False)
]
Fingerprint = Annotated[str | None, typer.Option("--fingerprint", help="All executions of this work.")]
Node = Annotated[str | None, typer.Option("--node", help="All that ran on this node.")]
Script = Annotated[str | None, typer.Option("--script", help="All of this script.")]
Repository = Annotated[str | None, typer.Option("--repository", help="Where the commits are.")]
Commits = Annotated[str | None, typer.Option("--commits", metavar="A..B", help="All at these commits.")]
Image = Annotated[str | None, typer.Option("--image", help="All in this image: its digest, or its name.")]
Since = Annotated[str | None, typer.Option("--since", metavar="TIME", help="All that ran at, or after, this time.")]
Until = Annotated[str | None, typer.Option("--until", metavar="TIME", help="All that ran at, or before, this time.")]
Reason = Annotated[str, typer.Option("--reason", help="For people.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only show what received the outputs.")]
Mark = Annotated[bool, typer.Option("--mark", help="Mark every task that received them.")]
Downstream = Annotated[bool, typer.Option("--downstream", help="Judge what was made from the outputs as well.")]


@command(app, "quarantine")
def _quarantine(
    session: Session,
    task: Task = None,
    fingerprint: Fingerprint = None,
    on_node: Node = None,
    script: Script = None,
    repository: Repository = None,
    commits: Commits = None,
    image: Image = None,
    since: Since = None,
    until: Until = None,
    reason: Reason = "",
    downstream: Downstream = False,
    mark: Mark = False,
    yes: Yes = False,
    as_user: AsUser = None,
) -> None:
    """Take executions out of use until they are released, after showing where their outputs went."""
    from gateway import judging

    which = judging.Which(task, fingerprint, on_node, script, repository, commits, image, since, until)
    judging.quarantine(session, as_user, which, judging.How(reason, yes, mark, downstream))


@command(app, "invalidate")
def _invalidate(
    session: Session,
    task: Task = None,
    fingerprint: Fingerprint = None,
    on_node: Node = None,
    script: Script = None,
    repository: Repository = None,
    commits: Commits = None,
    image: Image = None,
    since: Since = None,
    until: Until = None,
    keep: Annotated[str | None, typer.Option("--keep", metavar="TASK", help="All but this task's execution.")] = None,
    reason: Reason = "",
    downstream: Downstream = False,
    mark: Mark = False,
    yes: Yes = False,
    as_user: AsUser = None,
) -> None:
    """Declare outputs wrong, after showing where they went. They are never given again."""
    from gateway import judging

    which = judging.Which(task, fingerprint, on_node, script, repository, commits, image, since, until)
    judging.invalidate(session, as_user, which, judging.How(reason, yes, mark, downstream, keep))


@command(app, "release")
def _release(
    session: Session,
    task: Task = None,
    fingerprint: Fingerprint = None,
    on_node: Node = None,
    script: Script = None,
    repository: Repository = None,
    commits: Commits = None,
    image: Image = None,
    since: Since = None,
    until: Until = None,
    yes: Yes = False,
    as_user: AsUser = None,
) -> None:
    """End quarantine and disagreement: what is there counts as it is."""
    from gateway import judging

    which = judging.Which(task, fingerprint, on_node, script, repository, commits, image, since, until)
    judging.release(session, as_user, which, judging.How("", yes))
