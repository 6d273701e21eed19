"""Asking the API by hash what may be read under a token."""

import json
import ssl
import time
from collections.abc import Callable
from http.client import HTTPException, HTTPSConnection
from urllib.parse import quote, urlencode

from consumers.executor.way import Way

_SECONDS = 30.0
_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two questions
_READ = 200
_NOT_READ = (403, 404)
_SELECT = urlencode({"select": json.dumps(["portable_data_hash"])})  # not its manifest, which may be large


class NoWord(Exception):
    """The API did not say what may be read; one line."""


class Asking:
    """A connection to the API, and the token that it is asked under.

    `is_over`: whether nobody wants to know any more. `patience`: seconds in which an API that does not say is asked
    again. `seconds`: how long one reply may take.
    """

    def __init__(
        self, way: Way, token: str, is_over: Callable[[], bool], patience: float, seconds: float = _SECONDS
    ) -> None:
        self._connection = HTTPSConnection(way.api.host, way.api.port, timeout=seconds, context=_context(way))
        self._token = token
        self._is_over = is_over
        self._end = time.monotonic() + patience

    def may_read(self, pdh: str) -> bool:
        """Whether a collection may be read under the token. Raises NoWord."""
        pause = _PAUSE
        while not self._is_over():
            try:
                return self._said(pdh)
            except NoWord:
                if time.monotonic() > self._end:
                    raise
            time.sleep(pause)
            pause = min(2 * pause, _LONGEST_PAUSE)
        return False

    def _said(self, pdh: str) -> bool:
        status = self._status(pdh)
        if status != _READ and status not in _NOT_READ:
            raise NoWord(f"the API does not say what the task may read: it replied {status}")
        return status == _READ

    def _status(self, pdh: str) -> int:
        path = f"/arvados/v1/collections/{quote(pdh)}?{_SELECT}"
        try:
            self._connection.request("GET", path, headers={"Authorization": f"OAuth2 {self._token}"})
            with self._connection.getresponse() as response:
                response.read()
                return response.status
        except (OSError, HTTPException) as error:
            self._connection.close()  # the next question makes another
            cause = str(error) or type(error).__name__
            raise NoWord(f"the API can't be asked what the task may read: {cause}") from error

    def close(self) -> None:
        """End the connection."""
        self._connection.close()


def _context(way: Way) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if way.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
