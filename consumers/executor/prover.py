"""Whether who asks for an output may read all that went into it: the API is asked for each of the inputs, by hash.

Where there is no word from the API nothing is proved, at once and for good: who asks runs the task, as they would where
there is nothing to be given. They must not be kept waiting for a reason that they may not know of. See ADR 0028.
"""

import logging
import time
from contextlib import closing

import msgspec

from consumers.executor.asking import Asking, NoWord
from consumers.executor.way import Way, speaks_to_api
from coordinator import prooftoken, purity
from coordinator.prooftoken import Proof
from schemas.spec import TaskSpec
from schemas.work import Ready
from store.locator import EMPTY_BLOCK

LOGGER = logging.getLogger(__name__)
MOST = 1024  # inputs of one task
_SECONDS = 20.0  # for all of them
_REPLY_SECONDS = 5.0


def proves(way: Way | None, ready: Ready, seconds: float = _SECONDS) -> bool:
    """Whether the owner in `ready.prove` may read all that the task names, at this moment. Never raises for a no.

    `seconds`: in which the API is to answer for all of it.
    """
    try:
        if way is None:
            raise NoWord("executor.api names none")
        spec = msgspec.json.decode(ready.spec, type=TaskSpec)
        # One that names nothing is asked about too: its owner may have been shut out, and its repository be another's.
        hashes = sorted(purity.inputs_of(spec, ready.bound)) or [EMPTY_BLOCK]
        if len(hashes) > MOST:
            raise NoWord(f"it would be asked for {len(hashes)} inputs, and {MOST} is the most")
        repository = spec.repository if speaks_to_api(spec) else ""  # else it is a place, which they have read
        return _reads(way, ready.prove, repository, tuple(hashes), seconds)
    except (NoWord, msgspec.MsgspecError) as error:
        LOGGER.warning("right to read inputs not proved, so their output is not given: %s", error)
        return False


def _reads(way: Way, owner: str, repository: str, hashes: tuple[str, ...], seconds: float) -> bool:
    end = time.monotonic() + seconds
    for first in range(0, len(hashes), prooftoken.MOST):
        some = hashes[first : first + prooftoken.MOST]
        expires = int(time.time()) + prooftoken.LASTS
        token = prooftoken.sign(Proof(owner=owner, repository=repository, hashes=some, expires_at=expires), way.key)
        with closing(Asking(way, token, lambda: time.monotonic() > end, 0.0, _REPLY_SECONDS)) as asking:
            if not all(asking.may_read(pdh) for pdh in some):
                if time.monotonic() > end:
                    raise NoWord(f"no answer to all {len(hashes)} inputs came within {seconds:.0f} s")
                return False
    return True
