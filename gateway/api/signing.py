"""Permission hints: a locator that a caller may read carries `+A<signature>@<expiry>`, good for their token alone.

The form is Arvados' (40 hexadecimal digits and a time); the signature is the first 160 bits of HMAC-SHA256 over block,
token and expiry, under a key that all API processes on one database share. Nothing stored ever holds a hint.
"""

import hashlib
import hmac
import re
from collections.abc import Iterator

from coordinator.locators import HINTS, SIZED_DIGEST
from gateway.api.errors import ApiError, forbidden
from store.locator import EMPTY_BLOCK

SIGNED_FOR = 14 * 24 * 3600  # seconds that a signed locator is good for
_HINT = re.compile(r"A([0-9a-f]{40})@([0-9a-f]{1,12})")
_TOKEN = re.compile(rf"(?<= )({SIZED_DIGEST})({HINTS})(?= )")


class Signer:
    """Signs and checks for one token. `expires`: seconds since 1970 that a new signature carries."""

    def __init__(self, key: bytes, token: str, expires: int) -> None:
        self._key, self._token = key, token
        self._expires = f"{expires:08x}"

    def locator(self, locator: str) -> str:
        """A locator without hints, signed."""
        return f"{locator}+A{self._signature(locator, self._expires)}@{self._expires}"

    def manifest(self, text: str) -> str:
        """A manifest without hints, each of its locators signed."""
        return _TOKEN.sub(lambda match: self.locator(match[1]), text)

    def check(self, locator: str, hints: str, now: int) -> None:
        """ApiError 403 unless one of the hints (`+A…+K…`) proves that the token may read the block at time `now`, s."""
        for match in _HINT.finditer(hints):
            if hmac.compare_digest(match[1], self._signature(locator, match[2])):
                if int(match[2], 16) < now:
                    raise ApiError(401, "the locator's signature has expired")
                return
        raise forbidden("the locator is not signed for this token")

    def check_manifest(self, text: str, now: int) -> None:
        """ApiError unless every locator of the manifest is signed, but the empty block's: the SDK writes that plain."""
        for locator, hints in _locators(text):
            if locator != EMPTY_BLOCK:
                self.check(locator, hints, now)

    def _signature(self, locator: str, expires: str) -> str:
        message = f"{locator}@{self._token}@{expires}".encode()
        return hmac.new(self._key, message, hashlib.sha256).hexdigest()[:40]


def _locators(text: str) -> Iterator[tuple[str, str]]:
    return ((match[1], match[2]) for match in _TOKEN.finditer(text))
