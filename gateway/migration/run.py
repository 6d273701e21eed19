"""`migrate`: append what is translated, and say what became of it.

Commands are appended some at a time, and answered before the next. Each is idempotent, so a migration that was killed
is run again: what stands in the read model as ended is passed over, the rest is said again, and what was said before
has no effect.
"""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import islice

import msgspec

from gateway import content, people
from gateway.client import Client
from gateway.migration.known import Known, Unwritten
from gateway.migration.people import People, PeopleReport, Settled
from gateway.migration.source import History, open_history
from gateway.migration.translate import NotTakenOver, Story, Translator
from gateway.pictures import safe
from gateway.problems import FAILED
from gateway.session import Session
from readmodel import queries, registry
from readmodel.connection import connect
from readmodel.watch import Watch
from schemas.reasons import Outcome
from schemas.settings import PureAssumed
from schemas.spec import TaskSpec
from schemas.tasks import JobImported, TaskImported
from schemas.topics import Topic
from store.collections import CollectionStore

PATIENCE = 120.0  # seconds for the answers to commands that were appended at once
AT_ONCE = 200  # commands that are appended before their answers are waited for
NOT_YET = "it is here, and had not ended when this did: run it again"
SHOWN = 20  # lines of a kind in the report


class Report(msgspec.Struct, kw_only=True):
    """What a migration found and did.

    `jobs`: in the source. `imported`, `before`: taken over now, and by an earlier run. `left`: how many stay behind, by
    reason. `tasks`: of the imported jobs, by how they ended. `reusable`: of these, given to others from now on.
    `reasons`: why complete ones are not, by what was missing. `conflicts`: fingerprints under which imports disagree.
    `owners`: that are not known here, with the number of their jobs. `people`: None where all is given to one.
    """

    dry_run: bool
    jobs: int = 0
    imported: int = 0
    before: int = 0
    left: dict[str, int] = {}
    tasks: dict[str, int] = {}
    reusable: int = 0
    reasons: dict[str, int] = {}
    conflicts: int = 0
    owners: dict[str, int] = {}
    people: PeopleReport | None = None


def run(session: Session, source: str, owner: str | None, *, admins: bool, dry_run: bool) -> int:
    """Take over all that ended in `source`, and without `owner` whom it belongs to. `admins`: these stay admins.

    Exit code 1 if a job stays behind for another reason than that it runs.
    """
    with open_history(source) as history, Client(session) as client:
        given = people.find(session, owner) if owner else ""
        blocks = content.blocks_of(session.folders)
        store = CollectionStore(Unwritten(blocks.root) if dry_run else blocks)
        settled = Settled.of(client.log)
        who = None if given else _people(client, People(history, settled, admins=admins), dry_run=dry_run)
        migration = _Migration(session, client, history, store, given, settled, Report(dry_run=dry_run, people=who))
        with _status(session) as tell:
            migration.run(tell)
    if session.as_json:
        session.result(migration.report)
    _tell(session, migration.report)
    return FAILED if migration.report.left.keys() - {"it has not ended"} else 0


def _people(client: Client, people: People, *, dry_run: bool) -> PeopleReport:
    """Take over users, groups and grants."""
    changes = people.changes()
    while part := list(islice(changes, AT_ONCE)):
        if not dry_run:
            for answer in client.answers.append_all_and_wait(Topic.SETTINGS, part, PATIENCE):
                if answer.outcome is Outcome.REFUSED:  # somebody else was faster
                    people.refused(answer.detail)
    return people.report


class _Tally:
    """What becomes of jobs and tasks, counted. `settled`: tells whether an owner is known here."""

    def __init__(self, translator: Translator, settled: Settled) -> None:
        self._translator = translator
        self._settled = settled
        self.left, self._tasks, self._reasons, self._owners = (Counter[str]() for _ in range(4))
        self._reusable = 0
        self.roots: list[str] = []

    def taken(self, story: Story) -> None:
        """One more job is, or would be, taken over."""
        self.roots.append(story.job.root)
        self._owners[story.job.owner] += not self._settled.knows(story.job.owner)
        for task in story.tasks:
            self._tasks[task.state] += 1
            if task.state == "complete":
                self._complete(task.spec)

    def _complete(self, spec: TaskSpec) -> None:
        if self._translator.is_shared(spec):
            self._reusable += 1
        elif spec.ineligible:
            self._reasons.update({line.partition(":")[0] for line in spec.ineligible.split("\n")})
        else:
            self._reasons["is_pure"] += 1

    def into(self, report: Report) -> None:
        """Write it into the report."""
        report.imported, report.left, report.tasks = len(self.roots), dict(self.left), dict(self._tasks)
        report.reusable, report.reasons = self._reusable, dict(self._reasons.most_common())
        report.owners = dict(+self._owners)


class _Migration:
    """One run. What it writes goes through `client`."""

    def __init__(
        self,
        session: Session,
        client: Client,
        history: History,
        store: CollectionStore,
        owner: str,
        settled: Settled,
        report: Report,
    ) -> None:
        self._client = client
        self._history = history
        places = {row["name"]: row["location"] for row in registry.fetch(client.rows, "repositories", {})}
        known = Known(store, session.folders.cache, history.manifest, places.get, writes=not report.dry_run)
        declared = [msgspec.convert(row, PureAssumed) for row in queries.fetch(client.rows, "assumed", None, {})]
        self._translator = Translator(known, owner, declared)
        self._tally = _Tally(self._translator, settled)
        self.report = report

    def run(self, tell: Callable[[str], None]) -> None:
        """All of it."""
        self.report.jobs = self._history.count()
        done = 0
        for stories in _bunches(self._stories()):
            done += len(stories)
            tell(f"{done} of {self.report.jobs} jobs")
            refusals = {} if self.report.dry_run else self._append(stories)
            for story in stories:
                refusal = refusals.get(story.job.root)
                if refusal is None:
                    self._tally.taken(story)
                else:
                    self._tally.left[refusal] += 1
        self._tally.into(self.report)
        if not self.report.dry_run:
            self._count_ended()

    def _stories(self) -> Iterator[Story]:
        """What is to be taken over, and has not been."""
        for job, tasks in self._history.jobs():
            if self._ended([job.uuid]):
                self.report.before += 1
                continue
            try:
                yield self._translator.story(job, tasks)
            except NotTakenOver as error:
                self._tally.left[str(error)] += 1

    def _ended(self, roots: list[str]) -> int:
        [row] = queries.fetch(self._client.rows, "ended_among", None, {"roots": roots})
        return int(row["ended"])

    def _append(self, stories: list[Story]) -> dict[str, str]:
        """Append jobs and their tasks; of the jobs of which something was refused, what."""
        commands: list[JobImported | TaskImported] = []
        for story in stories:
            commands += [story.job, *story.tasks]
        refusals: dict[str, str] = {}
        for first in range(0, len(commands), AT_ONCE):
            part = commands[first : first + AT_ONCE]
            answers = self._client.answers.append_all_and_wait(Topic.TASKS, part, PATIENCE)
            for command, answer in zip(part, answers, strict=True):
                if answer.outcome is Outcome.REFUSED:
                    refusals.setdefault(command.root, f"refused ({answer.reason}): {answer.detail}")
        return refusals

    def _count_ended(self) -> None:
        """Once all that was imported is in the read model, so is what disagreed with it."""
        roots = self._tally.roots
        with connect(self._client.dsn) as rows:
            Watch(rows).until(lambda: self._ended(roots) == len(roots) or None, PATIENCE)
        self.report.imported = self._ended(roots)
        if open_ones := len(roots) - self.report.imported:
            self.report.left[NOT_YET] = open_ones
        [row] = queries.fetch(self._client.rows, "imported_conflicts", None, {})
        self.report.conflicts = row["conflicts"]


def _bunches(stories: Iterator[Story]) -> Iterator[list[Story]]:
    """Stories together, up to about as many commands as are appended at once."""
    bunch: list[Story] = []
    size = 0
    for story in stories:
        bunch.append(story)
        size += 1 + len(story.tasks)
        if size >= AT_ONCE:
            yield bunch
            bunch, size = [], 0
    if bunch:
        yield bunch


def _tell(session: Session, report: Report) -> None:
    did = "would be taken over" if report.dry_run else "taken over"
    if report.people is not None:
        _tell_people(session, report.people, did)
    session.say(f"{report.jobs} jobs: {report.imported} {did}, {report.before} were here already")
    for reason, count in report.left.items():
        session.say(f"  {count} left behind: {safe(reason)}")
    ended = ", ".join(f"{count} {state}" for state, count in report.tasks.items())
    given = f"{report.reusable} are given to who asks for the same"
    session.say(f"{sum(report.tasks.values())} tasks: {ended or 'none'}; {given}")
    for what, count in list(report.reasons.items())[:SHOWN]:
        session.say(f"  {count} complete ones are not, for their {safe(what)}")
    if report.conflicts:
        session.say(
            f"{report.conflicts} fingerprints have outputs that disagree: nobody is given these until you decide"
        )
    for owner, count in list(report.owners.items())[:SHOWN]:
        session.say(f"  {count} jobs are of {safe(owner)}, who is not known here: --owner gives them to somebody")


def _tell_people(session: Session, people: PeopleReport, did: str) -> None:
    taken = f"{people.users} users, {people.groups} groups and {people.grants} grants {did}"
    session.say(f"{taken}, {people.before} were here already")
    for reason, count in people.left.items():
        session.say(f"  {count} left behind: {safe(reason)}")
    for there, here in list(people.renamed.items())[:SHOWN]:
        session.say(f"  {safe(there)} is {safe(here)}, as somebody else here is {safe(there)}")
    if people.admins:
        named = ", ".join(map(safe, people.admins[:SHOWN]))
        session.say(f"  {len(people.admins)} were admins there and are not here: {named} (--admins takes that over)")


@contextmanager
def _status(session: Session) -> Iterator[Callable[[str], None]]:
    """A line on the terminal that says how far it is; nothing elsewhere."""
    if session.as_json or not session.console.is_terminal:
        yield lambda _: None
        return
    with session.console.status("reading the source") as status:
        yield status.update
