"""A proof's token for the API: whether one owner may read these collections, now, and nothing else.

The verifier makes it just before it asks, under the key that tasks' tokens are signed with and as another issuer, so
that neither is taken for the other. It names the collections themselves: what it opens is all in it.
"""

from typing import Annotated

import msgspec

from coordinator import signedtoken

LASTS = 60  # seconds
MOST = 64  # collections in one token, so that it fits into a header
_ISSUER = "crunch-reuse/proof"
_NAMES = {"exp": "expires_at", "sub": "owner", "repository": "repository", "hashes": "hashes"}


class Proof(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a token says, once its signature and its time were checked."""

    owner: str  # uuid of the user or group whose right is to be proved
    repository: str  # name of the repository that the owner must be able to read too; empty: none
    hashes: Annotated[tuple[str, ...], msgspec.Meta(max_length=MOST)]  # portable data hashes
    expires_at: int  # seconds since 1970


def sign(proof: Proof, key: bytes) -> str:
    """The token. `key`: signedtoken.KEY_BYTES random bytes or more."""
    said = {"sub": proof.owner, "repository": proof.repository, "hashes": proof.hashes}
    return signedtoken.sign(_ISSUER, said, proof.expires_at, key)


def read(text: str, now: int, key: bytes) -> Proof:
    """What a token says at `now` (seconds since 1970). Raises signedtoken.BadToken."""
    return signedtoken.read(text, _ISSUER, Proof, _NAMES, now, key)
