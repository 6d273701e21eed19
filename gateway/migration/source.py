"""Where history is read: the database of an Arvados v1 cluster, or an export of it, one JSON object of the API a line.

Both give rows as JSON objects; attributes that are not named here are passed over. In the database, objects are text:
JSON or, as older releases wrote them, YAML.
"""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, LiteralString, Protocol, TypeVar

import msgspec
import psycopg

from gateway.problems import Problem, Refused
from readmodel.connection import ReadModelError, connect

PAGE = 200  # jobs that are read with their tasks at a time
KINDS = {
    "arvados#job": "jobs",
    "arvados#jobTask": "job_tasks",
    "arvados#collection": "collections",
    "arvados#user": "users",
    "arvados#group": "groups",
    "arvados#link": "links",
}
PERMISSION = "permission"  # the class of links that let read


class PastJob(msgspec.Struct, kw_only=True):
    """A row of `jobs`. Times as they are written, UTC."""

    uuid: str
    owner_uuid: str = ""
    script: str | None = None
    script_version: str | None = None
    repository: str | None = None
    script_parameters: Any = None
    docker_image_locator: str | None = None
    state: str | None = None
    running: bool | None = None
    success: bool | None = None
    output: str | None = None
    is_pure: bool | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    cancelled_at: str | None = None
    modified_at: str | None = None


class PastTask(msgspec.Struct, kw_only=True):
    """A row of `job_tasks`. `is_pure` is in no release of Arvados, but may be in an export."""

    uuid: str
    job_uuid: str
    created_by_job_task_uuid: str | None = None
    sequence: int | None = None
    qsequence: int | None = None
    parameters: Any = None
    output: str | None = None
    success: bool | None = None
    is_pure: bool | None = None
    job_parameters: list[str] | None = None
    created_at: str | None = None
    started_at: str | None = None
    finished_at: str | None = None
    modified_at: str | None = None


class PastUser(msgspec.Struct, kw_only=True):
    """A row of `users`. `username` is in no release before 2015."""

    uuid: str
    username: str | None = None
    is_admin: bool | None = None
    is_active: bool | None = None


class PastGroup(msgspec.Struct, kw_only=True):
    """A row of `groups`."""

    uuid: str
    owner_uuid: str = ""
    name: str | None = None
    is_trashed: bool | None = None


class PastLink(msgspec.Struct, kw_only=True):
    """A row of `links`, of the class `permission`."""

    name: str | None = None
    tail_uuid: str | None = None
    head_uuid: str | None = None


class History(Protocol):
    """What there is to take over."""

    def count(self) -> int:
        """How many jobs there are."""
        ...

    def jobs(self) -> Iterator[tuple[PastJob, list[PastTask]]]:
        """Each job with its tasks, in the order in which they were queued. Refused where a row can't be read."""
        ...

    def manifest(self, pdh: str) -> str:
        """The manifest of a collection that the source knows; empty: it knows none."""
        ...

    def users(self) -> Iterator[PastUser]:
        """Users, oldest first; none where the source has no such table. Refused where a row can't be read."""
        ...

    def groups(self) -> Iterator[PastGroup]:
        """Groups and projects, as `users`."""
        ...

    def links(self) -> Iterator[PastLink]:
        """Permission links, as `users`."""
        ...

    def close(self) -> None:
        """Let go of the source."""
        ...


Row = TypeVar("Row", PastJob, PastTask, PastUser, PastGroup, PastLink)


def _row(data: bytes | str, kind: type[Row], place: str) -> Row:
    try:
        return msgspec.json.decode(data, type=kind, strict=False)
    except msgspec.DecodeError as error:
        raise Refused(f"{place}: {error}") from error


def _in_order(tasks: Iterable[PastTask]) -> list[PastTask]:
    return sorted(tasks, key=lambda task: (task.qsequence or 0, task.created_at or "", task.uuid))


# --- A database -------------------------------------------------------------------------------------------------------

_JOBS = "select id, uuid, row_to_json(j)::text from jobs j where id > %s and uuid is not null order by id limit %s"
_TASKS = "select job_uuid, row_to_json(t)::text from job_tasks t where job_uuid = any(%s) and uuid is not null"
_MANIFEST = "select manifest_text from collections where portable_data_hash = %s and manifest_text is not null limit 1"
_PEOPLE: dict[str, LiteralString] = {
    "users": "select row_to_json(u)::text from users u where u.uuid is not null order by u.id",
    "groups": "select row_to_json(g)::text from groups g where g.uuid is not null order by g.id",
    "links": "select row_to_json(l)::text from links l where l.link_class = 'permission' order by l.id",
}
_TABLES = "select table_name from information_schema.tables where table_schema = current_schema()"


@contextmanager
def _answering() -> Iterator[None]:
    """Say of which database it is that it went away, or refuses. Raises Problem."""
    try:
        yield
    except psycopg.Error as error:
        line = next(iter(str(error).strip().splitlines()), type(error).__name__)
        raise Problem(f"source: {line}: see that it answers, and run it again") from error


class Database:
    """The database of an Arvados API server, read in one snapshot and never written to. Refused if it is none; Problem
    from whatever asks it when it is gone."""

    def __init__(self, dsn: str) -> None:
        try:
            self._connection = connect(dsn)
            self._connection.execute("begin transaction isolation level repeatable read read only")
            found = {name for (name,) in self._connection.execute(_TABLES)}
        except (ReadModelError, psycopg.Error) as error:
            raise Refused(f"source: {str(error).strip().splitlines()[0]}") from error
        self._tables = found
        if missing := {"jobs", "job_tasks"} - found:
            self.close()
            named = " and no table ".join(sorted(missing))
            raise Refused(f"source: this database has no table {named}: is it that of an Arvados API server?")

    def count(self) -> int:
        """How many jobs there are."""
        [[number]] = self._rows("select count(*) from jobs where uuid is not null")
        return int(number)

    def jobs(self) -> Iterator[tuple[PastJob, list[PastTask]]]:
        """Each job with its tasks, oldest first."""
        last = 0
        while page := self._rows(_JOBS, last, PAGE):
            last = page[-1][0]
            tasks: dict[str, list[PastTask]] = {}
            for job, text in self._rows(_TASKS, [uuid for _, uuid, _ in page]):
                tasks.setdefault(job, []).append(_row(text, PastTask, "job_tasks"))
            for _, uuid, text in page:
                yield _row(text, PastJob, f"jobs {uuid}"), _in_order(tasks.get(uuid, []))

    def manifest(self, pdh: str) -> str:
        """The manifest of a collection, as the database has it."""
        if "collections" not in self._tables:
            return ""
        return next((str(text) for (text,) in self._rows(_MANIFEST, pdh)), "")

    def users(self) -> Iterator[PastUser]:
        """Users, oldest first."""
        return self._people("users", PastUser)

    def groups(self) -> Iterator[PastGroup]:
        """Groups and projects, oldest first."""
        return self._people("groups", PastGroup)

    def links(self) -> Iterator[PastLink]:
        """Permission links, oldest first."""
        return self._people("links", PastLink)

    def _people(self, table: str, kind: type[Row]) -> Iterator[Row]:
        if table not in self._tables:
            return
        with _answering(), self._connection.cursor(name=table) as cursor:  # there may be a link for each collection
            for (text,) in cursor.execute(_PEOPLE[table]):
                yield _row(text, kind, table)

    def _rows(self, statement: LiteralString, *given: Any) -> list[tuple[Any, ...]]:
        with _answering():
            return self._connection.execute(statement, given).fetchall()

    def close(self) -> None:
        """End the snapshot."""
        self._connection.close()


# --- An export --------------------------------------------------------------------------------------------------------


class _Line(msgspec.Struct):
    kind: str = ""
    link_class: str | None = None
    uuid: str | None = None
    job_uuid: str | None = None
    portable_data_hash: str | None = None


class Export:
    """A file of JSON Lines: objects of `KINDS` as the API shows them, each with its `kind`, in any order.

    Where each line is, is remembered, not what it holds.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._jobs: dict[str, int] = {}
        self._tasks: dict[str, list[int]] = {}
        self._collections: dict[str, int] = {}
        self._people: dict[str, list[int]] = {"users": [], "groups": [], "links": []}
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise Refused(f"source: {path}: {error.strerror}") from error
        try:
            self._index()
        except BaseException:
            self.close()
            raise

    def _index(self) -> None:
        offset = 0
        for number, line in enumerate(self._file, 1):
            if line.strip():
                self._note(_outline(line, f"{self._path}, line {number}"), offset)
            offset += len(line)

    def _note(self, line: _Line, offset: int) -> None:
        match KINDS[line.kind]:
            case "jobs":
                self._jobs[line.uuid or ""] = offset
            case "job_tasks":
                self._tasks.setdefault(line.job_uuid or "", []).append(offset)
            case "collections":
                self._collections[line.portable_data_hash or ""] = offset
            case table:
                if table != "links" or line.link_class == PERMISSION:
                    self._people[table].append(offset)

    def count(self) -> int:
        """How many jobs there are."""
        return len(self._jobs)

    def jobs(self) -> Iterator[tuple[PastJob, list[PastTask]]]:
        """Each job with its tasks, in the order of the file."""
        for uuid, offset in self._jobs.items():
            tasks = (_row(self._at(place), PastTask, f"task of {uuid}") for place in self._tasks.get(uuid, ()))
            yield _row(self._at(offset), PastJob, f"job {uuid}"), _in_order(tasks)

    def manifest(self, pdh: str) -> str:
        """The manifest of a collection, if the export has it."""
        offset = self._collections.get(pdh)
        found: Mapping[str, Any] = msgspec.json.decode(self._at(offset)) if offset is not None else {}
        return str(found.get("manifest_text") or found.get("unsigned_manifest_text") or "")

    def users(self) -> Iterator[PastUser]:
        """Users, in the order of the file."""
        return (_row(self._at(place), PastUser, "a user") for place in self._people["users"])

    def groups(self) -> Iterator[PastGroup]:
        """Groups and projects, in the order of the file."""
        return (_row(self._at(place), PastGroup, "a group") for place in self._people["groups"])

    def links(self) -> Iterator[PastLink]:
        """Permission links, in the order of the file."""
        return (_row(self._at(place), PastLink, "a link") for place in self._people["links"])

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _at(self, offset: int) -> bytes:
        self._file.seek(offset)
        return self._file.readline()


def _outline(line: bytes, place: str) -> _Line:
    try:
        found = msgspec.json.decode(line, type=_Line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(f"{place}: {error}") from error
    if found.kind not in KINDS:
        raise Refused(f"{place}: kind {found.kind!r}: known are {', '.join(KINDS)}")
    return found


def open_history(place: str) -> closing[Database] | closing[Export]:
    """The history at a DSN or in a file. Raises Refused."""
    if place.startswith(("postgres://", "postgresql://")) or ("=" in place and not Path(place).exists()):
        return closing(Database(place))
    return closing(Export(Path(place)))
