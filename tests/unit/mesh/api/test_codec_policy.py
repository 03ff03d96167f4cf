"""Policy sets on the wire: equal after it, and refused whole when any part is unknown or contradictory."""

from __future__ import annotations

import pytest
from hypothesis import given, settings

from mesh.api import mesh_pb2 as pb
from mesh.api.codec_policy import policy_set_from_pb, policy_set_to_pb
from mesh.api.codec_words import CodecError
from mesh.model import PolicySet
from tests.unit.mesh.api.models import policy_sets


@settings(max_examples=100, deadline=None)
@given(policy_sets)
def test_a_policy_set_survives_the_wire(policy: PolicySet) -> None:
    assert policy_set_from_pb(pb.PolicySet.FromString(policy_set_to_pb(policy).SerializeToString())) == policy


def rule(**changed: object) -> pb.Rule:
    fields: dict[str, object] = {
        "ref": pb.RuleRef(policy="a/p", kind="MeshPolicy", action="Allow"),
        "action": "Allow",
        "grants": [pb.Grant(any_peer=True, ports=[pb.PortRange(protocol=6, low=80, high=80)])],
    }
    return pb.Rule(**{**fields, **changed})  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("message", "field"),
    [
        (rule(action="DryRun"), r"action: 'DryRun' is not known"),
        (rule(ref=pb.RuleRef(kind="MeshPolicy", action="Allow")), r"ref.policy: is empty"),
        (rule(http=[pb.HttpMatch()]), r"http: is given although has_http is false"),
        (rule(grants=[pb.Grant(any_peer=True, peers=[256])]), r"grants\[0\].peers"),
        (rule(grants=[pb.Grant(ports=[pb.PortRange(protocol=6, low=9, high=8)])]), r"ports\[0\]: 9 is above 8"),
        (rule(grants=[pb.Grant(ports=[pb.PortRange(protocol=6, low=0, high=70000)])]), r"high: 70000 is not a port"),
        (rule(grants=[pb.Grant(ports=[pb.PortRange(protocol=0, low=1, high=2)])]), "any protocol goes with all ports"),
        (
            rule(has_http=True, http=[pb.HttpMatch(paths=[pb.PathMatch(match="present")])]),
            r"paths\[0\].match: a path cannot be present",
        ),
        (rule(has_http=True, http=[pb.HttpMatch(hosts=["Shop"])]), r"hosts\[0\]"),
        (rule(has_http=True, http=[pb.HttpMatch(headers=[pb.HeaderMatch(name="X", match="exact")])]), "lower case"),
    ],
)
def test_a_rule_that_would_need_guessing_is_refused(message: pb.Rule, field: str) -> None:
    policy = pb.PolicySet(key="p", ingress=pb.DirectionPolicy(rules=[message]))
    with pytest.raises(CodecError, match=r"policy_set.ingress.rules\[0\]\..*" + field if "any" not in field else field):
        policy_set_from_pb(policy)


def test_a_set_without_a_key_is_refused() -> None:
    with pytest.raises(CodecError, match="policy_set.key: is empty"):
        policy_set_from_pb(pb.PolicySet())
