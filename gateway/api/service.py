"""What the API's methods work with: the database, the log, the store; and who asks."""

import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

from psycopg_pool import ConnectionPool, PoolTimeout

from coordinator import ids
from coordinator.purity import Request
from coordinator.signedtoken import looks_like_one
from gateway.api import proving
from gateway.api.commands import Command, Commands
from gateway.api.errors import invalid, unauthorized
from gateway.api.request import Call
from gateway.api.schema import Resource
from gateway.api.signing import SIGNED_FOR, Signer
from gateway.api.taskcaller import Mode, TaskStanding, decide, request_of, standing
from gateway.resolve import ImageResolver
from readmodel import queries, registry
from readmodel.census import Census, People
from readmodel.connection import Connection, ReadModelUnreachable, configure
from readmodel.registry import Token
from readmodel.rows import Answer
from readmodel.sight import Sight
from readmodel.waiting import Heard
from schemas.fields import Record
from schemas.reasons import Outcome
from schemas.settings import Change
from schemas.topics import Topic
from store.collections import CollectionStore
from streams.log import Log

CONNECTIONS = 8
PATIENCE = 5.0  # seconds to wait for a free connection
STORE_SCOPE = "store"  # of an admin's token


class TaskRules(NamedTuple):
    """`key`: what tasks' tokens are signed with. `mode`: what becomes of a pure task that asks for more than it may."""

    key: bytes
    mode: Mode


class Service:
    """One API process's parts. `cache`: a folder for git's copies; `images`: resolves names of images.
    `tasks`: how running tasks are known. `heard`: when a node last gave a sign of life.

    Raises ReadModelError, LogError when made where the servers are not there.
    """

    def __init__(
        self,
        log: Log,
        dsn: str,
        store: CollectionStore,
        cache: Path,
        images: ImageResolver,
        tasks: TaskRules,
        heard: Heard,
    ) -> None:
        self.store = store
        self.cache, self.images, self.tasks = cache, images, tasks
        self.heard = heard
        self.pool = ConnectionPool(
            dsn,
            connection_class=Connection,
            kwargs={"autocommit": True, "application_name": "crunch-reuse api", "connect_timeout": 10},
            configure=configure,
            min_size=1,
            max_size=CONNECTIONS,
            timeout=PATIENCE,
            open=True,
        )
        self.commands = Commands(log, dsn)
        self.census = Census(self.commands.log_id_of(Topic.SETTINGS))
        with self.rows() as connection:
            registry.prepare(connection)
            self.signing_key = registry.signing_key(connection)

    @contextmanager
    def rows(self) -> Iterator[Connection]:
        """A connection of this thread's own for a short while. Raises ReadModelUnreachable."""
        try:
            with self.pool.connection() as connection:
                yield connection
        except PoolTimeout as error:
            raise ReadModelUnreachable("Postgres does not answer") from error

    def caller(self, secret: str) -> "Caller":
        """Who shows this token: a user, a running task, or a proof. ApiError 401 if nobody does."""
        if not secret:
            raise unauthorized()
        with self.rows() as connection:
            if looks_like_one(secret):
                return self._signed(connection, secret)
            found, mark = registry.token_shown(connection, secret, self.census.settings)
            return self._user(found, self.census.at(connection, mark))

    def _signed(self, connection: Connection, secret: str) -> "Caller":
        people = self.census.now(connection)
        proof = proving.standing(connection, people, secret, self.tasks.key)
        if proof is not None:
            return Caller(self, proof, people, is_admin=False, only_proves=True)
        token, task = standing(connection, people, secret, self.tasks.key)
        return Caller(self, token, people, is_admin=False, task=task)

    def caller_of(self, token: str) -> "Caller":
        """Whose token has this uuid: a user. ApiError 401 if it is not good, or not any more."""
        with self.rows() as connection:
            return self._user(registry.token_named(connection, token), self.census.now(connection))

    def _user(self, found: Token | None, people: People) -> "Caller":
        if found is None or not found.is_good(registry.now_ms()):
            raise unauthorized()
        user = people.standing(found.user_uuid)
        if user is None or not user.is_active:
            raise unauthorized()
        return Caller(self, found, people, user.is_admin)

    def ask(self, topic: Topic, body: Record) -> Answer:
        """Append a command; its answer, once what it says can be read. ApiError 422 where it is refused."""
        answer = self.commands.ask(topic, body, self._look)
        if answer.outcome == Outcome.REFUSED:
            raise invalid(answer.detail or answer.reason.replace("_", " "))
        return answer

    def _look(self, command: Command) -> Answer | None:
        with self.rows() as connection:
            return queries.answer(connection, *command)

    def close(self) -> None:
        """End the threads and connections."""
        self.commands.close()
        self.pool.close()


@dataclass(frozen=True)
class Caller:
    """Who asks, by which token. `people`: users, groups and grants as they were when the request came.

    `only_proves`: the token is a proof's, and what is asked is whether this owner may read it now.
    """

    service: Service
    token: Token
    people: People
    is_admin: bool
    task: TaskStanding | None = None
    only_proves: bool = False

    def admit(self, resource: Resource, method: str, call: Call, uuid: str) -> None:
        """Let a task's request pass, for a pure one only as the rule says. ApiError 403."""
        if self.task is not None:
            self.ask_rule(request_of(self.task.scope, resource, method, call, uuid))

    def ask_rule(self, request: Request) -> None:
        """ApiError 403 where the rule denies it; a loss of purity is in the log when this returns."""
        if self.task is not None:
            lost = decide(self.task, request, self.service.tasks.mode)
            if lost is not None:
                self.service.ask(Topic.CLAIMS, lost)

    def new_uuid(self, call: Call, infix: str) -> str:
        """The uuid of what a creation makes: a repeat of it (token, path, request id, body) makes the same again."""
        request = call.request_id or secrets.token_hex(16)
        prefix = ids.prefix_of(self.uuid)
        made = ids.request_uuid(self.token.uuid, "/".join(call.path), request, call.raw, prefix)
        return made.replace(f"-{ids.JOB_INFIX}-", f"-{infix}-", 1)

    @property
    def is_of_a_machine(self) -> bool:
        """Whether it is another machine of this system, which needs all content and nothing else."""
        return self.is_admin and self.token.scopes == (STORE_SCOPE,)

    @property
    def uuid(self) -> str:
        """The user's uuid."""
        return self.token.user_uuid

    @cached_property
    def sight(self) -> Sight:
        """Whose things they may be shown."""
        seen = self.people.sight(self.uuid)
        return seen._replace(own=[self.task.scope.task, self.task.scope.job]) if self.task else seen

    @cached_property
    def signer(self) -> Signer:
        """What signs and checks locators for their token."""
        return Signer(self.service.signing_key, self.token.uuid, int(time.time()) + SIGNED_FOR)

    def may_write(self, owner: str) -> bool:
        """Whether they may make or change what `owner` owns: themselves, or a group that is theirs."""
        if self.is_admin or owner == self.uuid:
            return True
        seen: set[str] = set()
        while owner not in seen and (above := self.people.owner_of(owner)) is not None:
            seen.add(owner)
            owner = above
        return owner == self.uuid

    def change_settings(self, change: Change) -> "Caller":
        """Append a change of settings; the caller as who they are after it. ApiError 422 where it is refused."""
        self.service.ask(Topic.SETTINGS, change)
        with self.service.rows() as connection:
            return replace(self, people=self.service.census.now(connection))
