"""The commands by which an operator judges executions."""

import functools
import inspect
from collections.abc import Callable
from typing import Annotated, Any

import typer

from gateway.options import AsUser, app, command
from gateway.session import Session
from gateway.which import Which


def _selector(name: str, about: "typer.models.ParameterInfo") -> inspect.Parameter:
    kind = inspect.Parameter.POSITIONAL_OR_KEYWORD
    return inspect.Parameter(name, kind, annotation=Annotated[str | None, about], default=None)


_WHICH = (
    _selector("task", typer.Argument(help="A task: the execution that it has the output of.", show_default=False)),
    _selector("fingerprint", typer.Option("--fingerprint", help="All executions of this work.")),
    _selector("node", typer.Option("--node", help="All that ran on this node.")),
    _selector("script", typer.Option("--script", help="All of this script.")),
    _selector("repository", typer.Option("--repository", help="Where the commits are.")),
    _selector("commits", typer.Option("--commits", help="All at these commits.", metavar="A..B")),
    _selector("image", typer.Option("--image", help="All in this image: its digest, or its name.")),
    _selector("since", typer.Option("--since", help="All that ran at, or after, this time.", metavar="TIME")),
    _selector("until", typer.Option("--until", help="All that ran at, or before, this time.", metavar="TIME")),
)
Reason = Annotated[str, typer.Option("--reason", help="For people.")]
Yes = Annotated[bool, typer.Option("--yes", help="Do it; without this, only show what received the outputs.")]
Mark = Annotated[bool, typer.Option("--mark", help="Mark every task that received them.")]
Downstream = Annotated[bool, typer.Option("--downstream", help="Judge what was made from the outputs as well.")]


def _choosing(judge: Callable[..., None]) -> Callable[..., None]:
    """Its second parameter, a Which, is made of the options that say which executions are meant."""
    session, _, *own = inspect.signature(judge).parameters.values()

    @functools.wraps(judge)
    def run(session: Session, **values: Any) -> None:
        judge(session, Which(**{one.name: values.pop(one.name) for one in _WHICH}), **values)

    run.__signature__ = inspect.Signature([session, *_WHICH, *own])  # type: ignore[attr-defined]
    return run


@command(app, "quarantine")
@_choosing
def _quarantine(
    session: Session,
    which: Which,
    reason: Reason = "",
    downstream: Downstream = False,
    mark: Mark = False,
    yes: Yes = False,
    as_user: AsUser = None,
) -> None:
    """Take executions out of use until they are released, after showing where their outputs went."""
    from gateway import judging

    judging.quarantine(session, as_user, which, judging.How(reason, yes, mark, downstream))


@command(app, "invalidate")
@_choosing
def _invalidate(
    session: Session,
    which: Which,
    keep: Annotated[str | None, typer.Option("--keep", metavar="TASK", help="All but this task's execution.")] = None,
    reason: Reason = "",
    downstream: Downstream = False,
    mark: Mark = False,
    yes: Yes = False,
    as_user: AsUser = None,
) -> None:
    """Declare outputs wrong, after showing where they went. They are never given again."""
    from gateway import judging

    judging.invalidate(session, as_user, which, judging.How(reason, yes, mark, downstream, keep))


@command(app, "release")
@_choosing
def _release(
    session: Session,
    which: Which,
    yes: Yes = False,
    as_user: AsUser = None,
) -> None:
    """End quarantine and disagreement: what is there counts as it is."""
    from gateway import judging

    judging.release(session, as_user, which, judging.How("", yes))
