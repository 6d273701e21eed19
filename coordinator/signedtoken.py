"""Short texts that only who holds a key can make: JSON Web Tokens (HS256), each kind of an issuer of its own.

Expiry is looked at against a time that the caller says, so that nothing here has a clock.
"""

from collections.abc import Mapping
from typing import Any, TypeVar

import jwt
import msgspec
from jwt.types import Options

KEY_BYTES = 32
_ALGORITHM = "HS256"
T = TypeVar("T", bound=msgspec.Struct)


class BadToken(Exception):
    """It is refused; the text says why, and holds nothing of it."""


def sign(issuer: str, said: Mapping[str, Any], expires_at: int, key: bytes) -> str:
    """A token that says this until `expires_at` (seconds since 1970). `key`: KEY_BYTES random bytes or more."""
    return jwt.encode({"iss": issuer, "exp": expires_at, **said}, key, algorithm=_ALGORITHM)


def read(text: str, issuer: str, kind: type[T], names: Mapping[str, str], now: int, key: bytes) -> T:
    """What a token says at `now` (seconds since 1970). `names`: in the token, to field of `kind`. Raises BadToken."""
    options: Options = {"verify_exp": False, "require": ["iss", *names]}  # the time is the caller's to say
    try:
        said = jwt.decode(text, key, algorithms=[_ALGORITHM], issuer=issuer, options=options)
        made = msgspec.convert(_renamed(said, names), kind)
    except (jwt.InvalidTokenError, msgspec.ValidationError) as error:
        raise BadToken("it is not one of ours, or was changed") from error
    if now >= said["exp"]:
        raise BadToken("it has expired")
    return made


def _renamed(said: Mapping[str, Any], names: Mapping[str, str]) -> dict[str, Any]:
    return {names.get(name, name): value for name, value in said.items() if name != "iss"}


def looks_like_one(secret: str) -> bool:
    """Whether it is signed, and no user's."""
    return secret.count(".") == 2
