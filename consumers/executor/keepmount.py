"""What a task of Crunch v1 sees below its keep mount because a parameter names it by its hash.

v1's mount shows whatever the task's token may read, at the moment it is looked at. Here nothing is mounted from afar:
what parameters name is laid out before the task starts. Whether it may be shown is the API's to say, asked under the
task's own token. What it may not read, and what is too large to be laid out for a task that may never look, is not
there; should the task fail, its log says so.
"""

from collections.abc import Callable, Mapping
from contextlib import closing

import msgspec

from consumers.executor.asking import Asking
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
PATIENCE = 30.0  # seconds for the API to hear of the grant, which is news, or to come back


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
        with closing(Asking(way, token, is_over, self._patience)) as asking:
            for rank, (pdh, parameter) in enumerate(named.items()):
                size, trouble = self._looked_at(asking, pdh, parameter, left) if rank < MOST else (0, _ENOUGH)
                if trouble:
                    unseen.append(f"parameter {parameter} names {pdh}, {trouble}")
                else:
                    shown[pdh] = parameter
                    left -= size
        return Sight(shown, tuple(unseen[:_TOLD]))

    def _looked_at(self, asking: Asking, pdh: str, parameter: str, left: int) -> tuple[int, str]:
        """Bytes of a collection, and why it is not to be laid out."""
        if not asking.may_read(pdh):
            return 0, "which is no collection that its owner may read"
        try:
            size = sum(file_size(file) for _, file in self._collections.load(pdh).files())
        except StoreError as error:
            raise CannotRun(Failure.STORE, f"parameter {parameter}: {error}") from error
        return size, f"whose {size} bytes are beyond executor.keep_mount: read it by the SDK" if size > left else ""
