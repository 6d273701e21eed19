"""What the API keeps for itself, in the schema `api`: tokens by their digest, keys. All raise ReadModelError.

A token is 50 random characters. Its SHA-256 is kept, not the token: who reads the table can't act as anybody. That
needs no salt and no slow hash, as there is nothing to guess.
"""

import hashlib
import secrets
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import msgspec
from psycopg.rows import dict_row

from readmodel.connection import Connection, translated
from readmodel.migrate import REGISTRY, migrate
from readmodel.rows import Row
from readmodel.sight import Sight
from readmodel.sql import statements

SQL = statements("registry.sql")
SIGNING_KEY = "blob signing"
TOKEN_LENGTH = 50
ALL = ("all",)
_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyz"


class Token(Row, frozen=True):
    """A token as it is known here. Times in ms since 1970; `scopes`: `all`, or `VERB /path` each."""

    uuid: str
    user_uuid: str
    label: str
    scopes: tuple[str, ...]
    created_at: int
    expires_at: int | None = None
    revoked_at: int | None = None

    def is_good(self, now: int) -> bool:
        """Whether it opens anything at this time."""
        return self.revoked_at is None and (self.expires_at is None or now < self.expires_at)


def prepare(connection: Connection) -> None:
    """Make or upgrade the tables."""
    migrate(connection, REGISTRY)


def new_secret() -> str:
    """A new token."""
    return "".join(secrets.choice(_ALPHABET) for _ in range(TOKEN_LENGTH))


def digest_of(token: str) -> str:
    """What is kept of a token."""
    return hashlib.sha256(token.encode()).hexdigest()


def now_ms() -> int:
    """Milliseconds since 1970."""
    return time.time_ns() // 1_000_000


def token_of(connection: Connection, secret: str) -> Token | None:
    """The token, good or not; None for one that was never made here."""
    found = fetch(connection, "token_of", {"digest": digest_of(secret)})
    return _token(found[0]) if found else None


def token_shown(connection: Connection, secret: str, settings: str) -> tuple[Token | None, str | None]:
    """As `token_of`, and the mark of the settings (their log id is given) at this moment."""
    [found] = fetch(connection, "token_shown", {"digest": digest_of(secret), "settings": settings})
    return (_token(found) if found["uuid"] else None), found["settings_mark"]


def token_named(connection: Connection, uuid: str) -> Token | None:
    """The token of this uuid, good or not, or None."""
    found = fetch(connection, "token_named", {"uuid": uuid})
    return _token(found[0]) if found else None


def tokens(connection: Connection) -> list[Token]:
    """All tokens, oldest first. For operators."""
    return [_token(row) for row in fetch(connection, "tokens", {})]


def add_token(
    connection: Connection,
    secret: str,
    user: str,
    *,
    label: str = "",
    scopes: tuple[str, ...] = ALL,
    expires_at: int | None = None,
) -> str:
    """Make a token for the user with this uuid; the token's own uuid. Made twice, it is one."""
    digest = digest_of(secret)
    uuid = f"{user[:5]}-gj3su-{int(digest[:20], 16) % 10**15:015d}"
    encoded = msgspec.json.encode(scopes).decode()
    given = {"uuid": uuid, "digest": digest, "user_uuid": user, "label": label, "scopes": encoded}
    execute(connection, "add_token", given | {"created_at": now_ms(), "expires_at": expires_at})
    return uuid


def revoke_token(connection: Connection, uuid: str) -> bool:
    """End a token; whether there was one to end."""
    return bool(fetch(connection, "revoke_token", {"uuid": uuid, "now": now_ms()}))


def signing_key(connection: Connection) -> bytes:
    """The key that all API processes on this database sign locators with."""
    return shared_key(connection, SIGNING_KEY)


def shared_key(connection: Connection, name: str) -> bytes:
    """A key that all API processes on this database share; made by the first of them."""
    execute(connection, "make_key", {"name": name, "secret": secrets.token_bytes(32)})
    [row] = fetch(connection, "key", {"name": name})
    return bytes(row["secret"])


def end_session(connection: Connection, digest: str, until: int) -> None:
    """A visitor signed out of the session with this digest, which would have lasted `until` (seconds since 1970)."""
    execute(connection, "end_session", {"digest": digest, "until": until * 1000, "now": now_ms()})


def is_ended(connection: Connection, digest: str) -> bool:
    """Whether somebody signed out of the session with this digest."""
    return bool(fetch(connection, "ended_session", {"digest": digest}))


def execution(connection: Connection, job: str, task: str, token: str) -> dict[str, Any] | None:
    """What runs under this token: grantee, fingerprint, is_pure, spec and bound of its task; None once it is over."""
    found = fetch(connection, "execution", {"job": job, "task": task, "token": token})
    return found[0] if found else None


def repository(connection: Connection, seen: Sight, name: str) -> str | None:
    """Path or URL of the git repository of this name, if it is everybody's or its owner may be read."""
    found = fetch(connection, "repository", {**seen._asdict(), "name": name})
    return str(found[0]["location"]) if found else None


@contextmanager
def alone(connection: Connection, name: str) -> Iterator[None]:
    """A transaction during which nobody else has this name: what is looked at still holds when it is written."""
    with translated(), connection.transaction():
        connection.execute(SQL["alone"], {"name": name})
        yield


def fetch(connection: Connection, name: str, asked: dict[str, Any]) -> list[dict[str, Any]]:
    """The rows of a named statement as dicts."""
    with translated(), connection.cursor(row_factory=dict_row) as cursor:
        return cursor.execute(SQL[name], asked).fetchall()


def execute(connection: Connection, name: str, given: dict[str, Any]) -> int:
    """Run a named statement; the number of rows it changed."""
    with translated():
        return connection.execute(SQL[name], given).rowcount


def _token(row: dict[str, Any]) -> Token:
    return msgspec.convert(row | {"scopes": msgspec.json.decode(row["scopes"])}, Token)


class Mark(Row, frozen=True):
    """What an operator said of a task. `marked_at`: ms since 1970."""

    reason: str
    marked_by: str
    marked_at: int


def marks_of(connection: Connection, root: str, task: str) -> list[Mark]:
    """The marks of a task that the caller has seen, oldest first."""
    return msgspec.convert(fetch(connection, "marks_of", {"root": root, "task": task}), list[Mark])
