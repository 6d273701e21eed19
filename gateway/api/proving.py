"""A proof's token as a caller: an owner who may be asked for these collections by hash, and for nothing else.

What it is told of each is whether the owner may read it at this moment, by what stands in the tables now: a right that
was good when a job was made may be gone. See ADR 0028.
"""

import time

from coordinator import prooftoken
from coordinator.signedtoken import BadToken
from gateway.api.errors import forbidden, unauthorized
from readmodel import listing, registry
from readmodel.census import People
from readmodel.connection import Connection
from readmodel.registry import Token
from readmodel.sight import Sight
from store.locator import EMPTY_BLOCK

_COLLECTION = "GET /arvados/v1/collections/"


def standing(connection: Connection, people: People, secret: str, key: bytes) -> Token | None:
    """What a proof's token opens; None: it is none. ApiError 401 where its owner is shut out, 403 where they may not
    read the repository."""
    try:
        proof = prooftoken.read(secret, int(time.time()), key)
    except BadToken:
        return None
    user = people.standing(proof.owner)
    if user is not None and not user.is_active:  # None: a group
        raise unauthorized()
    seen = people.sight(proof.owner)
    if proof.repository and registry.repository(connection, seen, proof.repository) is None:
        raise forbidden("there is no such repository that the owner may read")
    scopes = tuple(f"{_COLLECTION}{pdh}" for pdh in proof.hashes)
    return Token(uuid="proof", user_uuid=proof.owner, label="proof", scopes=scopes, created_at=registry.now_ms())


def may_read_now(connection: Connection, seen: Sight, pdh: str) -> bool:
    """Whether anything in sight has this content, or content that this is a part of. Raises ReadModelError."""
    wholes = (row["whole"] for row in registry.fetch(connection, "wholes", {"pdh": pdh}))
    return pdh == EMPTY_BLOCK or listing.is_content_seen(connection, seen, [pdh, *wholes])
