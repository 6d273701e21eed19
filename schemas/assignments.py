"""Topic `assignments`, keyed by node: what the dispatch machine tells the node's executor."""

from typing import Annotated, Literal

from msgspec import Meta

from schemas.fields import Name, Record, Uuid
from schemas.log import Genesis
from schemas.work import Ready


class Assigned(Record, frozen=True, tag="assigned", kw_only=True):
    """This work goes to this incarnation of this node. It shows in the next `alive`, or it is lost."""

    node: Annotated[Name, Meta(description="node's name")]
    incarnation: Annotated[Uuid, Meta(description="the executor's incarnation; another one ignores it")]
    work: Annotated[Ready, Meta(description="the work, as it became ready")]


class Stopped(Record, frozen=True, tag="stopped", kw_only=True):
    """The node must not go on with this work. Without a token: the incarnation is over, join as a new one."""

    node: Annotated[Name, Meta(description="node's name")]
    incarnation: Annotated[Uuid, Meta(description="the executor's incarnation")]
    token: Annotated[str, Meta(max_length=160, description="which work; empty: none, join as a new incarnation")]
    cause: Annotated[
        Literal["cancelled", "fenced"], Meta(description="cancelled: with grace; fenced: at once, it was given away")
    ]


AssignmentRecord = Genesis | Assigned | Stopped
