"""The command line: which commands there are, their options, and what becomes of errors.

What a command does is in a module of its own, imported when it is asked for: `--help` needs none of them.
"""

import signal
import sys
import tempfile
import time
import traceback
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated

import typer

import gateway.cli_api
import gateway.cli_judging
import gateway.cli_people
import gateway.cli_processes
import gateway.cli_settings
import gateway.cli_store
import gateway.cli_topics  # noqa: F401 # these register their commands
from gateway.folders import APP
from gateway.options import AsUser, Runner, app, audit_app, command, config_app, option
from gateway.problems import FAILED, INTERRUPTED, USAGE, one_line, problem_of
from gateway.session import Session

# --- Commands -----------------------------------------------------------------------------------------------------


@command(app, "demo", option("runner", Runner))
def _demo(
    session: Session,
    tree: Annotated[Path | None, typer.Option("--input", help="Use the files of this folder.")] = None,
    image: Annotated[
        str, typer.Option(help="Run its tasks in this image, which has Python 3.", show_default=False)
    ] = "",
    keep: Annotated[bool, typer.Option("--keep", help="Keep the demo's data folder, to look around in it.")] = False,
) -> int:
    """Show on real input that identical work runs once: about ten seconds."""
    from gateway import demo

    return demo.run(session, tree, image, keep=keep)


@command(app, "submit")
def _submit(
    session: Session,
    file: Annotated[Path, typer.Argument(metavar="FILE", help="Job file, YAML or JSON; - is standard input.")],
    as_user: AsUser = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Show what would become of it; submit nothing.")] = False,
    wait: Annotated[bool, typer.Option("--wait/--no-wait", help="Wait for the job's end.")] = True,
) -> int:
    """Submit a job. Exit code 0: complete; 1: failed; 2: nothing is running; 3: refused."""
    from gateway import submit

    return submit.run(session, file, as_user=as_user, dry_run=dry_run, wait=wait)


@command(app, "jobs")
def _jobs(
    session: Session,
    as_user: AsUser = None,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="At most so many, newest first.")] = 20,
) -> None:
    """List jobs."""
    from gateway import views

    views.jobs(session, as_user, limit)


@command(app, "job")
def _job(
    session: Session,
    uuid: Annotated[str, typer.Argument(help="The job.")],
    as_user: AsUser = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
) -> int:
    """Show a job and the tree of its tasks."""
    from gateway import views

    return views.job(session, as_user, uuid, follow=follow)


@command(app, "explain")
def _explain(
    session: Session,
    task: Annotated[str, typer.Argument(help="The task.")],
    as_user: AsUser = None,
    other: Annotated[
        str | None, typer.Option("--diff", metavar="TASK", help="Show in what it differs from this task.")
    ] = None,
) -> None:
    """Say why a task was executed, waited or was given an output."""
    from gateway import views

    if other is not None:
        views.compare(session, as_user, task, other)
    else:
        views.explain(session, as_user, task)


@command(app, "get")
def _get(
    session: Session,
    what: Annotated[str, typer.Argument(help="Job, task or portable data hash.")],
    folder: Annotated[Path, typer.Argument(help="Where to write it; made new.")],
    as_user: AsUser = None,
) -> None:
    """Write an output into a folder."""
    from gateway import content

    content.get(session, as_user, what, folder)


@command(app, "log")
def _log(
    session: Session,
    task: Annotated[str, typer.Argument(help="The task.")],
    as_user: AsUser = None,
    follow: Annotated[bool, typer.Option("--follow", "-f", help="Go on until it has ended.")] = False,
) -> None:
    """Print what a task says, or said while it ran."""
    from gateway import words

    words.log(session, as_user, task, follow=follow)


@command(app, "cancel")
def _cancel(
    session: Session,
    uuid: Annotated[str, typer.Argument(help="The job.")],
    as_user: AsUser = None,
) -> int:
    """Cancel a job. What others wait for goes on."""
    from gateway import submit

    return submit.cancel(session, uuid, as_user)


@command(app, "priority")
def _priority(
    session: Session,
    uuid: Annotated[str, typer.Argument(help="The job.")],
    priority: Annotated[int, typer.Argument(help="Higher first; a negative one after --.")],
    as_user: AsUser = None,
) -> int:
    """Give a job another priority: for all of its work that no node has yet."""
    from gateway import submit

    return submit.prioritise(session, uuid, priority, as_user)


Archive = Annotated[Path | None, typer.Option("--archive", metavar="DIR", help="Look at this archive of the log.")]


@command(audit_app, "verify")
def _audit_verify(session: Session, archive: Archive = None) -> int:
    """Decide everything again, compare it with what stands in the log, and look for what must never be."""
    from gateway import audit

    return audit.verify(session, archive)


@command(audit_app, "drift")
def _audit_drift(session: Session) -> int:
    """Compare the read model, row by row, with what the log says."""
    from gateway import readmodels

    return readmodels.drift(session)


@command(audit_app, "replay")
def _audit_replay(
    session: Session,
    until: Annotated[
        str | None,
        typer.Option(metavar="OFFSET|TIME", help="A time, how long ago (10m), or a record (claims/0:120)."),
    ] = None,
    archive: Archive = None,
) -> int:
    """Show what was known at a moment, decided again from the log's first record on."""
    from gateway import audit

    return audit.replay(session, until, archive)


@command(audit_app, "export")
def _audit_export(
    session: Session,
    task: Annotated[str | None, typer.Argument(help="The task whose story to print, as JSON Lines.")] = None,
    everything: Annotated[Path | None, typer.Option("--all", metavar="DIR", help="Archive the whole log here.")] = None,
    archive: Archive = None,
) -> int:
    """Print a task's whole story, or write the log into an archive that `verify` and `replay` can read."""
    from gateway import audit

    return audit.export(session, task, everything, archive)


@command(config_app, "check")
def _config_check(
    session: Session, file: Annotated[Path | None, typer.Argument(metavar="[FILE]", show_default=False)] = None
) -> None:
    """Read the configuration file, and say what is wrong with it."""
    from gateway import settings

    settings.check(session, file)


@command(config_app, "show")
def _config_show(session: Session) -> None:
    """Show the configuration in effect, and where each value comes from."""
    from gateway import settings

    settings.show(session)


@command(app, "migrate")
def _migrate(
    session: Session,
    source: Annotated[str, typer.Argument(help="Its database, postgres://..., or a file of JSON Lines.")],
    owner: Annotated[
        str | None, typer.Option("--owner", help="User or group who gets all.", show_default="each job's own")
    ] = None,
    admins: Annotated[bool, typer.Option("--admins", help="Who was an admin there is one here.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Say what would come of it; change nothing.")] = False,
) -> int:
    """Take over an Arvados v1 cluster: finished jobs and tasks, users, groups, grants. Run it again if interrupted."""
    from gateway.migration import run

    return run.run(session, source, owner, admins=admins, dry_run=dry_run)


@command(app, "uninstall")
def _uninstall(
    session: Session,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask.")] = False,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="List only.")] = False,
) -> int:
    """List what was made on this machine, and remove it."""
    from gateway import uninstall

    return uninstall.run(session, yes=yes, dry_run=dry_run)


# --- Errors -------------------------------------------------------------------------------------------------------


def main() -> None:
    """Entry point of `crunch-reuse`."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGINT) is signal.default_int_handler:  # a shell's background job ignores it
        signal.signal(signal.SIGINT, _interrupt)
    sys.exit(run(sys.argv[1:]))


class _Interrupted(KeyboardInterrupt):
    """Ctrl-C. After a plain one in the middle of an import, `python -m` ends by the signal, although it was handled."""


def _interrupt(_number: int, _frame: object) -> None:
    """Being told to end is as good as Ctrl-C: what was begun is put away."""
    raise _Interrupted


def run(arguments: Sequence[str]) -> int:
    """Run one command; the exit code. Errors are one line on standard error."""
    try:
        return int(app(list(arguments), prog_name=APP, standalone_mode=False) or 0)
    except KeyboardInterrupt:
        return _fail("interrupted", INTERRUPTED)
    except Exception as error:  # noqa: BLE001 # the last handler: nobody sees a stack trace who did not ask for one
        return explain_error(error, arguments)


def explain_error(error: Exception, arguments: Sequence[str]) -> int:
    """Say in one line what went wrong, and where its trace is if nobody foresaw it; the exit code."""
    if "--debug" in arguments:
        traceback.print_exception(error)
    if hasattr(error, "format_message"):  # the command line itself is wrong: an error of typer's parser
        return _fail(f"{error.format_message()} (see {APP} --help)", USAGE) if str(error) else USAGE
    known = problem_of(error)
    if known is not None:
        return _fail(*known)
    kept = "" if "--debug" in arguments else f"; details: {_keep_trace(error)}"
    return _fail(f"unexpected {type(error).__name__}: {error}{kept}", FAILED)


def _fail(line: str, code: int) -> int:
    print(f"{APP}: {one_line(line)}", file=sys.stderr)
    return code


def _keep_trace(error: Exception) -> str:
    """Write the trace where it can be looked up; the file's path."""
    text = "".join(traceback.format_exception(error))
    with tempfile.NamedTemporaryFile(
        "w", prefix=f"{APP}-{time.strftime('%Y%m%d-%H%M%S')}-", suffix=".txt", delete=False
    ) as f:
        f.write(text)
    return f.name


if __name__ == "__main__":
    main()
