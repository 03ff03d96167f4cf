"""Every recorded NetworkPolicy probe through parser, cluster policy, `decide` and the compiled chains."""

from __future__ import annotations

import json

import pytest

from mesh.model import Direction, FlowQuery, PolicyKey, Protocol, Verdict
from mesh.objects.documents import parse
from mesh.objects.references import check
from mesh.policy.chains import Chain, ChainKey, compile_chains, lookup, verdict
from mesh.policy.cluster import ClusterPolicy, build
from mesh.policy.decide import decide
from mesh.policy.identities import FreshNumbers
from tests.conformance.netpol.cases import Case, Probe, Step, load

CASES = load()


def read(step: Step, numbers: FreshNumbers) -> ClusterPolicy:
    """The step's cluster, by way of the text that a user would apply."""
    objects = parse("\n---\n".join(json.dumps(document) for document in step.documents), "case.yaml")
    problems, _ = check(objects)
    assert problems == ()
    return build(objects, numbers)


def query(cluster: ClusterPolicy, probe: Probe) -> FlowQuery:
    source, destination = cluster.pods[probe.source], cluster.pods[probe.destination]
    return FlowQuery(
        source=cluster.identity_at(source.addresses[0][0]),
        destination=cluster.identity_at(destination.addresses[0][0]),
        protocol=Protocol[probe.protocol],
        port=probe.port,
    )


def test_the_data_is_complete() -> None:
    assert len(CASES) == 115
    assert sum(len(step.probes) for case in CASES for step in case.steps) == 37_152


@pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.number}: {case.description}")
def test_every_probe_comes_out_as_recorded(case: Case) -> None:
    numbers = FreshNumbers()  # One for all steps: what a live controller would go through.
    for step in case.steps:
        cluster = read(step, numbers)
        compiled: dict[PolicyKey, dict[ChainKey, Chain]] = {
            key: compile_chains(policy) for key, policy in cluster.policies.items()
        }
        for probe in step.probes:
            flow = query(cluster, probe)
            egress, ingress = cluster.pods[probe.source].policy, cluster.pods[probe.destination].policy
            decision = decide(flow, egress=egress.egress, ingress=ingress.ingress)
            assert decision.egress is not None
            assert decision.ingress is not None
            assert (decision.verdict is Verdict.ALLOW) == probe.allowed, probe
            assert (decision.egress.verdict is Verdict.ALLOW) == probe.egress_allowed, probe
            assert (decision.ingress.verdict is Verdict.ALLOW) == probe.ingress_allowed, probe
            for half, policy, direction, peer in (
                (decision.egress, egress, Direction.EGRESS, flow.destination),
                (decision.ingress, ingress, Direction.INGRESS, flow.source),
            ):
                flags, _, _ = lookup(compiled[policy.key], direction, peer, flow.protocol, flow.port)
                assert verdict(flags) == (half.verdict, half.needs_l7), probe
