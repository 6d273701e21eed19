"""`log`: what a task said, or says while it runs."""

import codecs
import sys
from collections.abc import Iterator

from gateway.client import Client
from gateway.content import chunks_of, said_so_far, store_of
from gateway.plain import plain
from gateway.problems import Refused
from gateway.session import Session
from readmodel import queries
from readmodel.rows import Task
from store.collections import CollectionStore
from store.words import KEPT, MOST


def log(session: Session, as_user: str | None, task: str, *, follow: bool) -> None:
    """Print what a task has said so far; with `follow`, all that it says until it has ended."""
    store = store_of(session.folders)
    with Client(session) as client:
        user = client.user(as_user).uuid
        if follow:
            _follow(session, store, client, user, task)
        else:
            _print(session, store, _known(client, user, task))


def _print(session: Session, store: CollectionStore, task: Task) -> None:
    if task.log:
        Page().put_all(chunks_of(store, task.log))
        return
    said = said_so_far(store, task)
    if said is None:
        raise Refused(f"task: no log is kept of {task.task}")
    session.note(f"it still runs: the last {len(said.end)} of {said.total} bytes so far; --follow goes on")
    Page().put(said.end)


def _follow(session: Session, store: CollectionStore, client: Client, user: str, uuid: str) -> None:
    following = Following(session, store)
    for _ in client.news(also_without=True):
        task = _known(client, user, uuid)
        following.look(task)
        if task.log or task.state not in queries.LIVE:
            following.end(task)
            return


class Following:
    """What was printed so far of one task's words: `told` bytes of what was said under `token`."""

    def __init__(self, session: Session, store: CollectionStore) -> None:
        self._session = session
        self._store = store
        self._page = Page()
        self._token = ""
        self._told = 0

    def look(self, task: Task) -> None:
        """Print what is new."""
        self._begin(task.token or self._token)
        if said := said_so_far(self._store, task):
            missed, new = said.after(self._told)
            if missed:
                self._session.note(f"{missed} bytes are left out here: it says more than can be followed")
            self._page.put(new)
            self._told = max(self._told, said.total)

    def end(self, task: Task) -> None:
        """Print the rest of its log; where that has a gap, and more was told than is before it, its last words.

        Refused where there is none.
        """
        if not task.log:
            raise Refused(f"task: no log is kept of {task.task}")
        size = sum(file.size for file in self._store.files(task.log))
        told = self._told
        if told > KEPT // 2 and size > KEPT:
            self._session.note(
                f"it has ended, and its last {MOST} bytes follow; "
                f"what is kept of its log is told by: crunch-reuse log {task.task}"
            )
            told = size - MOST
        self._page.put_all(_after(chunks_of(self._store, task.log), told))

    def _begin(self, token: str) -> None:
        """Who is executed once more says everything once more."""
        if token != self._token and self._told:
            self._session.note("it is executed once more")
            self._told = 0
        self._token = token


class Page:
    """Standard output: bytes as they are, but for a terminal as text that steers nothing."""

    def __init__(self) -> None:
        self._decoder = codecs.getincrementaldecoder("utf-8")("replace") if sys.stdout.isatty() else None

    def put(self, data: bytes) -> None:
        """The next words, at once."""
        shown = plain(self._decoder.decode(data)).encode() if self._decoder else data
        sys.stdout.buffer.write(shown)
        sys.stdout.buffer.flush()

    def put_all(self, pieces: Iterator[bytes]) -> None:
        """One after the other."""
        for piece in pieces:
            self.put(piece)


def _after(pieces: Iterator[bytes], told: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[told:]
        told = max(told - len(piece), 0)


def _known(client: Client, user: str, uuid: str) -> Task:
    found = queries.task(client.rows, user, uuid)
    if found is None:
        raise Refused(f"task: you see no {uuid}")
    return found
