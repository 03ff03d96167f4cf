"""May this node have a certificate, or a stream? Pure: facts in, None or the reason of a refusal out.

Two ways in: a join token, or the certificate that the node holds already (renewal). In both, a name belongs to the key
that joined with it first, until someone deletes the node.
"""

from __future__ import annotations

import re

from controller.ca import tokens
from controller.store import StoredNode, StoredToken

_NODE = re.compile(r"[a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?")


def objection_to_join(
    *,
    node: str,
    key_hash: str,
    presented: tokens.Presented | None,
    token: StoredToken | None,
    registered: StoredNode | None,
    now_s: int,
) -> str | None:
    """For a node that comes with a token. `token` is the row of the name that it presented.

    A node that is registered with this very key may come again while the token lives, spent or not: the answer to its
    first request may have been lost. The request is signed with the key, so nobody else can.
    """
    if presented is None:
        return "the join token is not of the form NAME.SECRET; make one with `weft token create`"
    if token is None or not tokens.same_secret(presented, token.secret_hash):
        # One answer for both, so that names of tokens cannot be found out.
        return f"join token {presented.name} is not known or its secret is wrong; make one with `weft token create`"
    if token.expires_s <= now_s:
        return f"join token {presented.name} has expired; make one with `weft token create`"
    reason = objection_to_name(node)
    if reason:
        return reason
    if token.node and token.node != node:
        return f"join token {presented.name} is good for node {token.node} only, not for {node}"
    if registered is not None and registered.key_hash != key_hash:
        return f"node {node} has joined before with another key; `weft delete node {node}` frees the name"
    if token.node and token.uses and registered is None:
        # Whoever kept a copy of it could otherwise take the place of a node that was sent away.
        return f"join token {presented.name} was for node {node} once, which has been deleted; make a new one"
    if registered is None and token.uses >= token.most:
        nodes = "a node has" if token.uses == 1 else f"{token.uses} nodes have"
        return f"join token {presented.name} is spent: {nodes} joined with it; make one with `weft token create`"
    return None


def objection_to_renewal(*, node: str, peer_node: str, peer_key_hash: str, registered: StoredNode | None) -> str | None:
    """For a node that comes with its certificate. The new certificate may be for a new key."""
    reason = objection_to_name(node)
    if reason:
        return reason
    if peer_node != node:
        return f"the certificate shown is that of node {peer_node}, not of {node}"
    if registered is None or registered.key_hash != peer_key_hash:
        return f"node {node} is not registered with the key of its certificate; join again with a token"
    return None


def objection_to_stream(*, node: str, key_hash: str, registered: StoredNode | None) -> str | None:
    """For a node that shows a certificate of this cluster: it counts as long as the node has not been sent away."""
    if registered is None:
        return f"node {node} was deleted; join again with a token"
    if registered.key_hash != key_hash:
        return f"node {node} has joined with another key since; join again with a token"
    return None


def objection_to_name(node: str) -> str | None:
    return None if _NODE.fullmatch(node) else f"{node[:60]!r} is not a node name (lower-case letters, digits, - and .)"
