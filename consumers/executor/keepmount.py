"""What a task of Crunch v1 sees below its keep mount because a parameter names it by its hash.

v1's mount shows whatever the task's token may read, at the moment it is looked at. Here nothing is mounted from afar:
what parameters name is laid out before the task starts. Whether it may be shown is the API's to say, asked under the
task's own token. What it may not read, and what is too large to be laid out for a task that may never look, is not
there; should the task fail, its log says so.
"""

import json
import ssl
import time
from collections.abc import Callable, Mapping
from contextlib import closing
from http.client import HTTPException, HTTPSConnection
from urllib.parse import quote, urlencode

import msgspec

from consumers.executor.way import Way
from consumers.runners.port import CannotRun
from schemas.reasons import Failure
from store.collections import CollectionStore
from store.errors import StoreError
from store.manifest import file_size

MOUNTED = 4096  # MiB that what one task's parameters name may have, unless it is said otherwise
MOST = 256  # collections
_ENOUGH = f"after {MOST} others: read it by the SDK"
_TOLD = 10  # lines of what is not seen
_SECONDS = 30.0
PATIENCE = 30.0  # seconds for the API to hear of the grant, which is news, or to come back
_PAUSE, _LONGEST_PAUSE = 0.05, 1.0  # seconds between two questions
_READ = 200
_NOT_READ = (403, 404)
_SELECT = urlencode({"select": json.dumps(["portable_data_hash"])})  # not its manifest, which may be large


class NoWord(Exception):
    """The API did not say what a task may read; one line."""


class Sight(msgspec.Struct, frozen=True):
    """`shown`: portable data hash to the name of the parameter that names it. `unseen`: a line for each that is not."""

    shown: dict[str, str] = {}
    unseen: tuple[str, ...] = ()


class KeepMount:
    """Decides what is laid out. `max_bytes`: of what one task's parameters name, together; 0: nothing is.

    `patience`: seconds in which an API that does not say is asked again, for each task.
    """

    def __init__(self, collections: CollectionStore, max_bytes: int, patience: float = PATIENCE) -> None:
        self._collections = collections
        self._max_bytes = max_bytes
        self._patience = patience

    def sight(self, way: Way, token: str, named: Mapping[str, str], is_over: Callable[[], bool]) -> Sight:
        """What a task under this token is to see of what its parameters name: hash to parameter.

        `is_over`: whether nobody wants the task any more; then it sees nothing. Raises NoWord, CannotRun.
        """
        if not self._max_bytes:
            return Sight()
        shown: dict[str, str] = {}
        unseen: list[str] = []
        left = self._max_bytes
        with closing(_Asking(way, token, is_over, self._patience)) as asking:
            for rank, (pdh, parameter) in enumerate(named.items()):
                size, trouble = self._looked_at(asking, pdh, parameter, left) if rank < MOST else (0, _ENOUGH)
                if trouble:
                    unseen.append(f"parameter {parameter} names {pdh}, {trouble}")
                else:
                    shown[pdh] = parameter
                    left -= size
        return Sight(shown, tuple(unseen[:_TOLD]))

    def _looked_at(self, asking: "_Asking", pdh: str, parameter: str, left: int) -> tuple[int, str]:
        """Bytes of a collection, and why it is not to be laid out."""
        if not asking.may_read(pdh):
            return 0, "which is no collection that its owner may read"
        try:
            size = sum(file_size(file) for _, file in self._collections.load(pdh).files())
        except StoreError as error:
            raise CannotRun(Failure.STORE, f"parameter {parameter}: {error}") from error
        return size, f"whose {size} bytes are beyond executor.keep_mount: read it by the SDK" if size > left else ""


class _Asking:
    """A connection to the API, and the token that it is asked under."""

    def __init__(self, way: Way, token: str, is_over: Callable[[], bool], patience: float) -> None:
        self._connection = HTTPSConnection(way.api.host, way.api.port, timeout=_SECONDS, context=_context(way))
        self._token = token
        self._is_over = is_over
        self._end = time.monotonic() + patience

    def may_read(self, pdh: str) -> bool:
        """Whether the task may read a collection. Raises NoWord."""
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
        self._connection.close()


def _context(way: Way) -> ssl.SSLContext:
    context = ssl.create_default_context()
    if way.insecure:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context
