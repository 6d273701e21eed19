"""`token`: who may use the API. A token is shown once, when it is made; what is kept is its digest.

The one that `up` makes for the user who runs it stands in a file that nobody else can read, so that `token show` works.
"""

import os
from contextlib import closing
from pathlib import Path

from gateway import people, reach
from gateway.client import local_login
from gateway.folders import Folders
from gateway.problems import Refused
from gateway.session import Session
from readmodel import queries, registry
from readmodel.connection import Connection, connect
from readmodel.registry import Token

DAY = 24 * 3600 * 1000  # ms
LOCAL = "local"  # label of the token of who runs `up`


def create(session: Session, user: str | None, label: str, days: int | None, scopes: list[str]) -> None:
    """Make a token and print it."""
    with closing(reach.registry_of(session)) as rows:
        owner = _user(session, rows, user)
        secret = registry.new_secret()
        expires = registry.now_ms() + days * DAY if days else None
        given = tuple(scopes) or registry.ALL
        uuid = registry.add_token(rows, secret, owner, label=label, scopes=given, expires_at=expires)
    if session.as_json:
        session.result({"uuid": uuid, "token": secret, "user": owner})
    session.say(secret)
    session.note(f"this is {uuid}; it is not shown again")


def list_tokens(session: Session) -> None:
    """Print what is known of each token."""
    with closing(reach.registry_of(session)) as rows:
        found = registry.tokens(rows)
        names = {user.uuid: user.name for user in queries.users(rows)}
    if session.as_json:
        session.result(found)
    now = registry.now_ms()
    for token in found:
        label = f"  {token.label}" if token.label else ""
        session.say(f"{token.uuid}  {names.get(token.user_uuid, token.user_uuid)}  {_standing(token, now)}{label}")


def revoke(session: Session, uuid: str) -> None:
    """End a token."""
    with closing(reach.registry_of(session)) as rows:
        if not registry.revoke_token(rows, uuid):
            raise Refused(f"token: there is no {uuid[:64]} to revoke: crunch-reuse token list shows them")
    if session.as_json:
        session.result({"uuid": uuid, "revoked": True})
    session.say(f"{uuid} opens nothing any more")


def show(session: Session) -> None:
    """Print what Arvados' clients find the API by, as lines for a shell: address, token, certificate."""
    running = reach.find(session).running
    if running is None or not running.api:
        raise Refused("api.listen: the `up` on this data folder serves no API")
    folder = session.folders.api
    values = {
        "ARVADOS_API_HOST": running.api,
        "ARVADOS_API_TOKEN": (folder / "token").read_text(),
        "SSL_CERT_FILE": str(folder / "certificate.pem"),
    }
    if session.as_json:
        session.result(values)
        return
    for name, value in values.items():
        print(f"export {name}={value}")


def ensure_local(folders: Folders, dsn: str) -> None:
    """See to it that the user who runs this has a token that is good, in a file of their own."""
    file = folders.api / "token"
    user = people.user_set(local_login()).user
    with closing(connect(dsn)) as rows:
        registry.prepare(rows)
        known = registry.token_of(rows, file.read_text()) if file.exists() else None
        if known is None or not known.is_good(registry.now_ms()):
            secret = registry.new_secret()
            registry.add_token(rows, secret, user, label=LOCAL)
            write_private(file, secret.encode())


def write_private(path: Path, data: bytes) -> None:
    """Write a file that only its owner can read, as a whole."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    draft = path.with_suffix(".new")
    with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        file.write(data)
    draft.replace(path)


def _user(session: Session, rows: Connection, name: str | None) -> str:
    wanted = name or session.config.submit.user or local_login()
    found = next((user for user in queries.users(rows) if wanted in (user.name, user.uuid)), None)
    if found is None:
        raise Refused(f"user: there is no {wanted!r}: make one with: crunch-reuse user add {wanted}")
    return found.uuid


def _standing(token: Token, now: int) -> str:
    if token.revoked_at is not None:
        return "revoked"
    if token.expires_at is None:
        return "good"
    days = (token.expires_at - now) / DAY
    return f"good for {days:.1f} days" if days > 0 else "expired"
