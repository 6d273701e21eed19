"""`jobs`, `job` and `explain`: what the read model shows to one user."""

from collections.abc import Iterator
from contextlib import closing

from gateway import pictures, reach
from gateway.client import Client
from gateway.pages.fleet import LONGEST, Fleet, heard_at
from gateway.problems import FAILED, Refused
from gateway.session import Session
from readmodel import explain as explanations
from readmodel import queries, registry, story, telling
from readmodel.rows import Job, User
from streams.log import LogError


def jobs(session: Session, as_user: str | None, limit: int) -> None:
    """Print the newest jobs that the user may see."""
    with Client(session) as client:
        found = queries.jobs(client.rows, client.user(as_user).uuid, limit)
    if session.as_json:
        session.result(found)
    for job_ in found:
        session.say(pictures.job_line(job_))
    if not found:
        session.say("no jobs yet")


def job(session: Session, as_user: str | None, uuid: str, *, follow: bool) -> int:
    """Print a job and its tree, or follow it to its end; exit code 1 if it failed."""
    with Client(session) as client:
        user = client.user(as_user)
        found = _known(client, user, uuid)
        if follow:
            found = watch(session, client, user, uuid)
        tasks = queries.tree(client.rows, user.uuid, uuid)
        counts = queries.counts(client.rows, user.uuid, uuid)
    if session.as_json:
        session.result({"job": found, "tasks": tasks, "counts": counts})
    else:
        if not (follow and session.console.is_terminal):
            session.console.print(pictures.job_tree(found, tasks))
        session.say(pictures.summary(found, counts))
    return FAILED if found.state in ("failed", "cancelled") else 0


def watch(session: Session, client: Client, user: User, uuid: str) -> Job:
    """Show the job until it has ended: a live tree on a terminal, else a line for each change; the ended job."""
    if session.console.is_terminal and not session.as_json:
        return _watch_live(session, client, user, uuid)
    last = ""
    found = None
    for found in _changes(client, user, uuid):
        line = f"{found.root}: {found.state}, {found.finished} of {found.tasks} tasks ended, {found.copied} copied"
        if line != last and not session.as_json:
            session.note(line)
        last = line
    assert found is not None
    return found


def _watch_live(session: Session, client: Client, user: User, uuid: str) -> Job:
    from rich.live import Live

    found = None
    with Live(console=session.console, auto_refresh=False) as live:
        for found in _changes(client, user, uuid):
            tree = pictures.job_tree(found, queries.tree(client.rows, user.uuid, uuid))
            live.update(tree, refresh=True)
    assert found is not None
    return found


def _changes(client: Client, user: User, uuid: str) -> Iterator[Job]:
    """The job now and whenever something changed, until it has ended."""
    for _ in client.news():
        found = queries.job(client.rows, user.uuid, uuid)
        if found is not None:
            yield found
            if found.state in pictures.ENDED:
                return


def _known(client: Client, user: User, uuid: str) -> Job:
    found = queries.job(client.rows, user.uuid, uuid)
    if found is None:
        raise Refused(f"job: {user.name} sees no job {uuid}: crunch-reuse jobs lists them")
    return found


def explain(session: Session, as_user: str | None, task: str) -> None:
    """Print what became of a task, and why."""
    with Client(session) as client:
        user = client.user(as_user)
        found = explanations.explain(client.rows, user.uuid, task)
        if found is None:
            raise _unknown_task(user, task)
        found = explanations.with_signs_of_life(found, lambda node: _heard(session, client, node))
        log = story.job_log(client.rows, user.uuid, found.task.root, task=task)
    with closing(reach.registry_of(session)) as rows:
        marks = registry.marks_of(rows, found.task.root, task)
    if session.as_json:
        session.result({"explanation": found, "log": log, "marks": marks})
    for line in [*telling.sentences(found), *(f"marked by {m.marked_by}: {m.reason}" for m in marks)]:
        session.say(pictures.safe(line))
    for said in log:
        session.say(f"  [dim]{pictures.clock(said.said_at)}  {pictures.safe(said.text)}[/dim]")


def _heard(session: Session, client: Client, node: str) -> int | None:
    """When the node gave its last sign of life, as far as the end of the log says."""
    try:
        return heard_at(Fleet(newest=LONGEST).look(client.log), node)
    except LogError as error:
        session.note(f"when {node} was last heard of can't be read: {error}")
        return None


def compare(session: Session, as_user: str | None, task: str, other: str) -> None:
    """Print in what two tasks differ."""
    with Client(session) as client:
        user = client.user(as_user)
        found = explanations.compare(client.rows, user.uuid, task, other)
        if found is None:
            unknown = other if queries.task(client.rows, user.uuid, task) else task
            raise _unknown_task(user, unknown)
    if session.as_json:
        session.result({"different": found.different})
    for line in telling.comparison(found):
        session.say(pictures.safe(line))


def _unknown_task(user: User, task: str) -> Refused:
    return Refused(f"task: {user.name} sees no task {task}: crunch-reuse job UUID lists a job's")
