"""Join tokens as an operator has them: made, with a lifetime and for whom they are good, and listed. No store and no
clock here.
"""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

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
        created_s=now_s,
    )
    return kept, text


def listed(token: StoredToken, *, now_s: int) -> dict[str, Any]:
    """A row of `weft token list`. Nothing in it lets anybody join: the id is the part before the secret."""
    left = max(0, token.most - token.uses)
    return {
        "id": token.name,
        "state": "expired" if token.expires_s <= now_s else "good" if left else "spent",
        "node": token.node,
        "uses": token.uses,
        "usesLeft": left,
        "expires": _instant(token.expires_s),
        "created": _instant(token.created_s) if token.created_s else None,
    }


def objection_to_id(name: str) -> str | None:
    """Whole tokens are not taken, and not repeated: what is a secret must not get used to command lines and logs."""
    if tokens.is_name(name):
        return None
    return "a join token's id is the 6 letters and digits before its first dot; see `weft token list`"


def _instant(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")
