"""The snapshots that benchmarks make are whole, and the measured connection is allowed among the crowd's rules."""

from __future__ import annotations

from benchmarks import intent
from benchmarks.intent import CLIENT_IDENTITY, SERVER_IDENTITY, Subject
from mesh.layouts import POLICY_ALLOW
from mesh.model import Direction, IdentityId
from mesh.policy.chains import compile_chains, lookup
from mesh.snapshot import dangling


def test_only_the_peer_is_allowed_and_only_on_its_ports() -> None:
    policy = intent.crowded_policy("p", SERVER_IDENTITY, (5201,), rules=50, identities=100)
    assert len(policy.ingress.rules) == 50
    chains = compile_chains(policy)
    allowed, _, _ = lookup(chains, Direction.INGRESS, IdentityId(SERVER_IDENTITY), 6, 5201)
    refused, _, _ = lookup(chains, Direction.INGRESS, IdentityId(SERVER_IDENTITY), 6, 5202)
    assert allowed & POLICY_ALLOW
    assert not refused & POLICY_ALLOW


def test_a_snapshot_has_every_identity_that_it_speaks_of() -> None:
    client = Subject(
        name="client",
        address="10.77.1.2",
        identity=CLIENT_IDENTITY,
        policy=intent.crowded_policy("client", SERVER_IDENTITY, (80,), rules=20, identities=30),
    )
    server = Subject(
        name="server",
        address="10.77.2.2",
        identity=SERVER_IDENTITY,
        policy=intent.http_policy("server", CLIENT_IDENTITY),
    )
    snapshot = intent.snapshot("node", here=[client], elsewhere=[server], crowd=30)
    assert not dangling(snapshot)
    assert len(snapshot.identities) == 6 + 2 + 30
