"""What the executor's core asks its driver to do."""

from typing import Literal, NamedTuple

from schemas.claims import Exited, OutputMissing, Verified
from schemas.fields import Record
from schemas.topics import Topic
from schemas.work import Ready

Report = Exited | Verified | OutputMissing
End = Literal["drained", "lapsed", "replaced"]


class Append(NamedTuple):
    """Append this record durably and in order, then call `acked(ref)`. It may be repeated: machines drop doubles."""

    ref: int
    topic: Topic
    body: Record


class Live(NamedTuple):
    """The joining is durable; it was sent at this time. From now on give signs of life, beside this core."""

    sent: int


class StartWork(NamedTuple):
    """Run this task and call `ended` with its Exited record."""

    token: str
    ready: Ready


class AdoptWork(NamedTuple):
    """Go on with this task, which a former executor left running, and call `ended` with its Exited record."""

    token: str
    ready: Ready


class StartVerify(NamedTuple):
    """Look at this entry's output and call `ended` with Verified or OutputMissing."""

    token: str
    ready: Ready


class KillWork(NamedTuple):
    """End this work, with the grace that Crunch v1 gives or at once, and call `ended` when nothing of it is left."""

    token: str
    grace: bool


class Stop(NamedTuple):
    """This incarnation is over. Only after `lapsed` is it right to join again."""

    why: End
    reason: str


Action = Append | Live | StartWork | AdoptWork | StartVerify | KillWork | Stop
