"""Who looks at the pages: a cookie that stands for a token, and marks on forms that only this session can have got.

A cookie holds no token: it names the token's uuid and is signed. Each request looks the token up, so that one that was
revoked opens no page any more, whenever the cookie was given; and whether this session was signed out, so that a copy
of its cookie opens none either.
"""

import hashlib
import secrets
import time
from typing import NamedTuple

import jwt

from gateway.api.errors import ApiError, unauthorized
from gateway.api.service import Caller, Service
from readmodel import registry
from readmodel.connection import Connection
from readmodel.registry import ALL

COOKIE = "__Host-crunch-reuse"  # the prefix: sent over TLS alone, to this host alone
SESSION_SECONDS = 12 * 3600
FORM_SECONDS = 2 * 3600
SAME_SECONDS = 15 * 60
KEY = "page sessions"
_ALGORITHM = "HS256"


class StaleForm(Exception):
    """A form that was made too long ago, for another session, or not here."""


class NotForPages(Exception):
    """The token is good, and limited to something else than pages."""


class Session(NamedTuple):
    """A signed-in visitor. `token`: the token's uuid; `id`: of this session, new at each sign-in; `until`: seconds."""

    token: str
    id: str
    until: int


class Sessions:
    """Makes and reads cookies and marks, with a key that all API processes on one database share."""

    def __init__(self, service: Service) -> None:
        self._service = service
        with service.rows() as connection:
            self._key = _key(connection)

    def begin(self, secret: str) -> str:
        """The cookie for who shows this token. Raises ApiError 401, NotForPages."""
        caller = self._service.caller(secret)
        self.check_reach(caller)
        claims = {"sub": caller.token.uuid, "jti": secrets.token_hex(16), "exp": int(time.time()) + SESSION_SECONDS}
        return jwt.encode(claims | {"aud": "session"}, self._key, _ALGORITHM)

    def check_reach(self, caller: Caller) -> None:
        """Raises NotForPages where the token opens less than everything that its user may see."""
        if caller.task is not None or caller.token.scopes != ALL:
            raise NotForPages

    def read(self, cookie: str) -> Session:
        """The session of a cookie. ApiError 401 where it is none, or over."""
        try:
            claims = jwt.decode(
                cookie, self._key, [_ALGORITHM], audience="session", options={"require": ["exp", "sub", "jti"]}
            )
        except jwt.InvalidTokenError:
            raise unauthorized() from None
        return Session(str(claims["sub"]), str(claims["jti"]), int(claims["exp"]))

    def caller(self, session: Session) -> Caller:
        """Who looks, as their token is now. ApiError 401, also where the session was signed out."""
        with self._service.rows() as connection:
            if registry.is_ended(connection, _digest(session)):
                raise unauthorized()
        return self._service.caller_of(session.token)

    def end(self, cookie: str) -> None:
        """Sign its session out, in all API processes; nothing to do where it is none, or over."""
        try:
            session = self.read(cookie)
        except ApiError:
            return
        with self._service.rows() as connection:
            registry.end_session(connection, _digest(session), session.until)

    def mark(self, session: Session) -> str:
        """What a form of this session carries: the same for a while, so that a live page need not change for it."""
        until = (int(time.time()) // SAME_SECONDS + 1) * SAME_SECONDS + FORM_SECONDS
        claims = {"sub": _digest(session), "exp": until, "aud": "form"}
        return jwt.encode(claims, self._key, _ALGORITHM)

    def check(self, session: Session, mark: str) -> None:
        """Raises StaleForm where the mark is no good for this session, now."""
        try:
            claims = jwt.decode(mark, self._key, [_ALGORITHM], audience="form", options={"require": ["exp", "sub"]})
        except jwt.InvalidTokenError as error:
            raise StaleForm from error
        if not secrets.compare_digest(str(claims["sub"]), _digest(session)):
            raise StaleForm


def _digest(session: Session) -> str:
    return hashlib.sha256(session.id.encode()).hexdigest()


def _key(connection: Connection) -> bytes:
    return registry.shared_key(connection, KEY)
