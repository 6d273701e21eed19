"""`quarantine`, `release`, `invalidate`: an operator judges executions, and sees where their outputs went before."""

from collections.abc import Iterator
from contextlib import closing
from typing import NamedTuple

from coordinator.fingerprint import is_impure
from gateway import git, pictures
from gateway.client import Client
from gateway.folders import APP
from gateway.problems import Refused
from gateway.reach import registry_of
from gateway.session import Session
from gateway.until import time_of
from gateway.which import Which
from readmodel import queries, registry, spread
from readmodel.explain import FINISHED
from readmodel.rows import User
from readmodel.spread import Chosen, Selection, Spread
from schemas.claims import Invalidated, Quarantined, Released
from schemas.topics import Topic

Command = Invalidated | Quarantined | Released
MOST_COMMITS = 10_000
NO_TIME = "no time: write 2030-01-31T12:00:00, or how long ago (10m, 2h, 3d)"
SHOWN = 50  # tasks that are listed; --json has all


class How(NamedTuple):
    """What is to be done. `yes`: do it, else only show; `mark`: also mark who received it; `downstream`: judge all that
    was made from the outputs too. `keep`: the task whose execution stays."""

    reason: str
    yes: bool
    mark: bool = False
    downstream: bool = False
    keep: str | None = None


def quarantine(session: Session, as_user: str | None, which: Which, how: How) -> None:
    """Take the work out of use: nothing is given or waited on until it is released."""
    _judge(session, as_user, which, how, "quarantine")


def invalidate(session: Session, as_user: str | None, which: Which, how: How) -> None:
    """Declare outputs wrong for good; with `keep`, which stands alone, all but the one that stays."""
    if how.keep is not None and any(which):
        raise Refused("--keep: it says which executions by itself, all others of its work: leave the rest out")
    _judge(session, as_user, which, how, "invalidate")


def release(session: Session, as_user: str | None, which: Which, how: How) -> None:
    """End quarantine and conflict, and forget lost nodes."""
    _judge(session, as_user, which, how, "release")


def _judge(session: Session, as_user: str | None, which: Which, how: How, verb: str) -> None:
    with Client(session) as client:
        user = client.user(as_user)
        if not user.is_admin:
            raise Refused(f"{verb}: {user.name} is no admin: give one with --as (user add NAME --admin makes one)")
        kept = _kept(client, how.keep)
        chosen = _chosen(session, client, which) if kept is None else _others_than(client, kept)
        reached = spread.spread(client.rows, [one.token for one in chosen])
        if how.downstream and verb != "release":
            chosen = _with_downstream(client, chosen, reached)
        commands = [*_all_but(kept, how.reason), *_commands(verb, _apart_from(kept, chosen), how.reason)]
        if not commands and (which.task or which.fingerprint):
            commands = [_of_no_execution(client, user, which, verb)]
        _tell(session, chosen, reached)
        for command in commands if how.yes else ():
            client.ask(Topic.CLAIMS, command)
    if how.yes and how.mark:
        _mark(session, user, reached, how.reason or verb)
    _end(session, chosen, reached, commands, how)


# --- Which ------------------------------------------------------------------------------------------------------------


def _chosen(session: Session, client: Client, which: Which) -> list[Chosen]:
    if not any(which):
        raise Refused("name a task, or say which executions: --fingerprint, --node, --script, --image, --since")
    selection = Selection(
        task=which.task,
        fingerprint=which.fingerprint,
        node=which.node,
        script=which.script,
        commits=_commits(session, which),
        image=which.image,
        since=time_of("--since", which.since, NO_TIME),
        until=time_of("--until", which.until, NO_TIME),
    )
    return spread.chosen(client.rows, selection)


def _kept(client: Client, task: str | None) -> Chosen | None:
    """The execution that is to stay. Refused where the task has none."""
    found = spread.chosen(client.rows, Selection(task=task)) if task is not None else []
    if task is not None and not found:
        raise Refused(f"--keep: there is no execution of {task}")
    return found[0] if found else None


def _others_than(client: Client, kept: Chosen) -> list[Chosen]:
    """All that the kept one's fingerprint has besides."""
    same = spread.chosen(client.rows, Selection(fingerprint=kept.fingerprint))
    return [one for one in same if one.token != kept.token]


def _commits(session: Session, which: Which) -> tuple[str, ...] | None:
    if which.commits is None:
        return None
    if which.repository is None:
        if not git.is_full_commit(which.commits):
            raise Refused("--commits: name the --repository that they are in, or one commit in full")
        return (which.commits,)
    with closing(registry_of(session)) as rows:
        known = {row["name"]: row["location"] for row in registry.fetch(rows, "repositories", {})}
    place, cache = known.get(which.repository, which.repository), session.folders.cache / "repositories"
    with git.open_repository(place, cache, which.commits) as repository:
        return tuple(git.commits_of(repository, which.commits, MOST_COMMITS))


def _with_downstream(client: Client, chosen: list[Chosen], reached: Spread) -> list[Chosen]:
    known = {one.token for one in chosen}
    further = [token for token in reached.tokens if token not in known]
    return chosen + spread.of_tokens(client.rows, further)


# --- What is done -----------------------------------------------------------------------------------------------------


def _commands(verb: str, chosen: list[Chosen], reason: str) -> Iterator[Command]:
    """What is asked of the claims machine; work that was never shared needs no judgement."""
    shared = [one for one in chosen if not is_impure(one.fingerprint)]
    if verb == "invalidate":
        for one in shared:
            if one.status in FINISHED:  # what is lost may stand against another's output still
                yield Invalidated(fingerprint=one.fingerprint, token=one.token, reason=reason)
        return
    for fingerprint in dict.fromkeys(one.fingerprint for one in shared):
        if verb == "quarantine":
            yield Quarantined(fingerprint=fingerprint, reason=reason)
        else:
            yield Released(fingerprint=fingerprint)


def _all_but(kept: Chosen | None, reason: str) -> list[Command]:
    """The others are wrong, and so is what attempts before the kept one said too late."""
    return [Invalidated(fingerprint=kept.fingerprint, keep=kept.token, reason=reason)] if kept else []


def _apart_from(kept: Chosen | None, chosen: list[Chosen]) -> list[Chosen]:
    """Those of other work than the kept one's, which one command judges."""
    return [one for one in chosen if kept is None or one.fingerprint != kept.fingerprint]


def _left_alone(chosen: list[Chosen], commands: list[Command]) -> list[Chosen]:
    """Those that no command is about: never shared, or to be invalidated and without an output to be wrong."""
    judged = {one.token if isinstance(one, Invalidated) and one.token else one.fingerprint for one in commands}
    return [one for one in chosen if not judged & {one.token, one.fingerprint}]


def _of_no_execution(client: Client, user: User, which: Which, verb: str) -> Released:
    """Work of which nothing is left may still be released: its lost nodes are forgotten. Refused else."""
    task = queries.task(client.rows, user.uuid, which.task) if which.task else None
    fingerprint = task.fingerprint if task else which.fingerprint
    if verb != "release" or fingerprint is None or is_impure(fingerprint):
        named = which.task or which.fingerprint
        raise Refused(f"{verb}: nothing that could be reused was done for {named}: {APP} explain TASK says what was")
    return Released(fingerprint=fingerprint)


def _mark(session: Session, user: User, reached: Spread, reason: str) -> None:
    """Say it of every task that was reached, where `explain` and the API's jobs find it."""
    now = registry.now_ms()
    with closing(registry_of(session)) as rows:
        for one in reached.tasks:
            place = {"root": one.task.root, "task": one.task.task}
            registry.execute(rows, "mark", place | {"reason": reason, "marked_by": user.uuid, "now": now})


def _tell(session: Session, chosen: list[Chosen], reached: Spread) -> None:
    for one in chosen:
        where = f" on {one.node}" if one.node else ""
        session.say(pictures.safe(f"execution {one.token} of {one.owner}{where}: {one.status}, output {one.output}"))
    for each in reached.tasks[:SHOWN]:
        name = f" ({each.task.name})" if each.task.name else ""
        line = f"{'  ' * each.depth}  {each.task.task}{name} of {each.task.owner}: {each.how}, {each.state}"
        session.say(pictures.safe(line))
    if len(reached.tasks) > SHOWN:
        session.say(f"  and {len(reached.tasks) - SHOWN} more tasks (--json lists them)")
    for job in reached.jobs:
        session.say(pictures.safe(f"job {job.root} of {job.owner}: {job.state}"))


def _end(session: Session, chosen: list[Chosen], reached: Spread, commands: list[Command], how: How) -> None:
    left = _left_alone(chosen, commands)
    if session.as_json:
        done = {"commands": len(commands), "left_alone": [one.token for one in left], "done": how.yes}
        session.result({"executions": chosen, "reached": reached, **done})
    counts = f"{len(chosen)} executions, {len(reached.tasks)} tasks, {len(reached.jobs)} jobs"
    session.say(f"{counts}: {'done' if how.yes else 'nothing was done; repeat it with --yes'}")
    if left:
        running = sum(one.status in ("granted", "running") for one in left)
        session.say(
            f"{len(left)} of the executions {'were' if how.yes else 'would be'} left alone, {running} of them still "
            "running: only shared work that is done is invalidated; quarantine takes running work out of use too"
        )
