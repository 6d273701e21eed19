"""`submit`, `cancel` and `priority`: what a user asks of jobs."""

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import msgspec

from coordinator import ids, taskspec
from coordinator.canonical import BadTask
from coordinator.resolver import ResolvedImage
from gateway import content, dryrun, jobfile, pictures, reach, views
from gateway.client import Client
from gateway.config import Config
from gateway.folders import APP
from gateway.problems import FAILED, Problem, Refused
from gateway.resolve import FileResolver
from gateway.runtime import Running
from gateway.session import Session
from readmodel import queries
from readmodel.rows import Task, User
from schemas.fields import MAX_SAFE_INTEGER
from schemas.reasons import Outcome
from schemas.spec import JobSpec
from schemas.tasks import JobCancelled, JobPrioritised, JobSubmitted
from schemas.topics import Topic
from store import identity
from store.collections import CollectionStore
from store.errors import PathMissing
from streams.answers import NoAnswer
from streams.log import LogError

PATH = "crunch-reuse submit"  # what a command-line submission has in place of an API's path
_WORTH_TELLING = 64 * 2**20  # bytes


def run(session: Session, file: Path, *, as_user: str | None, dry_run: bool, wait: bool) -> int:
    """Submit the job file; the exit code says how the job ended. Refused names the field that is wrong."""
    description = jobfile.read(file)
    if dry_run:
        session.folders.create()
        dryrun.show(session, as_user, _resolved(session, file, description))
        return 0
    with Client(session) as client:
        user = client.user(as_user)
        _require_store(session, client)
        spec = _resolved(session, file, description)
        check_share(file, spec, client.running, session.config)
        root = _submit(session, client, user, spec)
        if not wait:
            session.result({"job": root}) if session.as_json else session.say(root)
            return 0
        session.note(f"submitted as {user.name}: {root}")
        _warn_if_too_large(session, client, spec)
        with _leaving_it_running(session, root):
            return _ended(session, client, user, root)


def cancel(session: Session, uuid: str, as_user: str | None) -> int:
    """Cancel a job that the user owns or, as an admin, sees."""
    with Client(session) as client:
        _require_own(client, uuid, as_user)
        answer = client.ask(Topic.TASKS, JobCancelled(root=uuid))
    outcome = "was cancelled already" if answer.outcome is Outcome.NOTHING else "is cancelled"
    session.result({"job": uuid, "outcome": answer.outcome}) if session.as_json else session.say(f"{uuid} {outcome}")
    return 0


def prioritise(session: Session, uuid: str, priority: int, as_user: str | None) -> int:
    """Give a job that the user owns or, as an admin, sees another priority. Refused where it has ended."""
    if abs(priority) > MAX_SAFE_INTEGER:
        raise Refused(f"priority: {priority} is beyond 2^53")
    with Client(session) as client:
        _require_own(client, uuid, as_user)
        answer = client.ask(Topic.TASKS, JobPrioritised(root=uuid, priority=priority))
    told = f"{uuid} {'had' if answer.outcome is Outcome.NOTHING else 'has'} priority {priority}"
    session.result({"job": uuid, "outcome": answer.outcome}) if session.as_json else session.say(told)
    return 0


def _require_own(client: Client, uuid: str, as_user: str | None) -> None:
    user = client.user(as_user)
    found = queries.job(client.rows, user.uuid, uuid)
    if found is None or not (user.is_admin or found.owner == user.uuid):
        raise Refused(f"job: {user.name} has no job {uuid}: {APP} jobs lists them")


def _require_store(session: Session, client: Client) -> None:
    """What is stored here must be found by who runs it. Beside an `up` there is one data folder, so it will."""
    if client.running is None and not session.folders.remote_store:
        trouble = identity.trouble(session.folders.store, reach.store_identity(client.log))
        if trouble:
            raise Refused(f"store.directory: {trouble} (it names the folder that all machines share)")


def _resolved(session: Session, file: Path, description: jobfile.Description) -> JobSpec:
    """The job, with its code and inputs in the store."""
    folders = session.folders
    store = content.store_of(folders)

    def progress(field: str, done: int) -> None:
        if done > _WORTH_TELLING and not session.as_json:
            session.note(f"{field}: {done >> 20} MiB are in the store")

    resolver = FileResolver(store, file, folders.cache, partial(_resolve_image, session), progress)
    try:
        spec = taskspec.job(description, resolver=resolver)
    except (BadTask, Refused) as error:
        raise Refused(f"{file}: {error}") from error
    _check_script(store, file, spec)
    return spec


def _resolve_image(session: Session, name: str) -> ResolvedImage:
    from gateway import wiring  # all parts of `up`: only who names an image has to wait for that

    return wiring.resolve_image(session.config, name)


def _check_script(store: CollectionStore, file: Path, spec: JobSpec) -> None:
    """A script that is not there is a mistake in the job file, not a task's failure."""
    if spec.task.script:
        try:
            store.load(spec.task.code).find(spec.task.script)
        except PathMissing as error:
            place = spec.task.repository or "the job file's folder"
            raise Refused(f"{file}: script: {spec.task.script} is not in {place}") from error


def check_share(file: Path, spec: JobSpec, running: Running | None, config: Config) -> None:
    """Only the API knows who may read what, so without one nobody could prove anything. Refused says what to do."""
    known = running.api if running else config.executor.api
    if spec.task.share == "by_inputs" and not known:
        where = "set api.listen" if running else "name the API that executors ask in executor.api"
        raise Refused(f"{file}: share: `by_inputs` takes an API that knows who may read what: {where}, or leave it out")


def _submit(session: Session, client: Client, user: User, spec: JobSpec) -> str:
    """Append the job and wait for the answer; the job's uuid."""
    request = secrets.token_hex(16)
    body = msgspec.json.encode(spec)
    root = ids.request_uuid(user.uuid, PATH, request, body)
    with _naming(session, root):
        client.ask(Topic.TASKS, JobSubmitted(root=root, owner=user.uuid, request=root, spec=spec))
    return root


@contextmanager
def _naming(session: Session, root: str) -> Iterator[None]:
    """Who hears no answer must be able to look whether there is a job, before a second one is made."""
    unsure = f"the job may have been submitted: look with {APP} job {root} before you submit it again"
    try:
        yield
    except KeyboardInterrupt:
        session.note(unsure)
        raise
    except (NoAnswer, LogError) as error:
        raise Problem(f"{error}; {unsure}") from error


def _warn_if_too_large(session: Session, client: Client, spec: JobSpec) -> None:
    """Say at once what the job will be waiting for: a node that is large enough may still come."""
    asked, offered = spec.task.resources, client.running
    if offered is None:  # the nodes are other machines
        return
    for name, unit in (("cores", ""), ("memory", " MiB"), ("scratch", " MiB")):
        wanted, there = getattr(asked, name), getattr(offered, name)
        if offered.slots and wanted > there:
            session.note(
                f"resources.{name}: {wanted}{unit} asked, {there}{unit} here: it waits for a larger node, or fails"
            )


def _ended(session: Session, client: Client, user: User, root: str) -> int:
    """Wait for the job's end and tell how it went; the exit code."""
    job = views.watch(session, client, user, root)
    counts = queries.counts(client.rows, user.uuid, root)
    if session.as_json:
        session.result({"job": job, "counts": counts})
    session.say(f"{root} {pictures.summary(job, counts)}")
    if content.has_content(job.output):
        session.say(f"output: {job.output} ({APP} get {root} FOLDER)")
    if job.state == "complete":
        return 0
    for task in queries.tree(client.rows, user.uuid, root):
        if task.state == "failed":
            session.note(_failure(session, task))
    return FAILED


def _failure(session: Session, task: Task) -> str:
    """A failed task in one line: what it was, why it failed, and the last it said."""
    said = content.last_words(session.folders, task)
    name = f" ({task.name})" if task.name else ""
    why = task.detail or task.reason.replace("_", " ")
    return f"task {task.task}{name}: {why}" + (f"; it said last: {said[:300]}" if said else "")


@contextmanager
def _leaving_it_running(session: Session, root: str) -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        session.note(f"the job goes on; follow it with: {APP} job {root} --follow; stop it with: {APP} cancel {root}")
        raise
