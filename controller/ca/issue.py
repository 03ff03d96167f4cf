"""Makes a join token: how long it lives, for whom it is good. No store and no clock here."""

from __future__ import annotations

from controller.ca import attestation, tokens
from controller.errors import BadQuestion
from controller.store import StoredToken

USUAL_S = 24 * 3600
LONGEST_S = 366 * 24 * 3600


def token(ca_hash: str, *, node: str, uses: int, ttl_s: int, now_s: int) -> tuple[StoredToken, str]:
    """What the store keeps of a new token, and the text to give away once. 0: the usual time, one use."""
    lifetime = ttl_s or USUAL_S
    if lifetime > LONGEST_S:
        raise BadQuestion(f"a token lives {LONGEST_S // 86400} days at most")
    if node and uses > 1:
        raise BadQuestion("a token that names a node is good for that one: leave out the node, or the uses")
    if node and (reason := attestation.objection_to_name(node)):
        raise BadQuestion(reason)
    presented, text = tokens.make(ca_hash)
    kept = StoredToken(
        name=presented.name,
        secret_hash=tokens.secret_hash(presented),
        node=node,
        expires_s=now_s + lifetime,
        most=uses or 1,
    )
    return kept, text
