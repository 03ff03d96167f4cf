"""`decide` against a second reading of the documents, over random clusters: verdicts and the policies they name."""

from __future__ import annotations

import json
import os
import random
from ipaddress import ip_address
from itertools import product

import pytest

from mesh.model import FlowQuery, HttpRequest, IdentityId, Protocol, Verdict
from mesh.objects.documents import parse
from mesh.paths import normalize_host, normalize_path
from mesh.policy.cluster import ClusterPolicy, build
from mesh.policy.decide import decide
from mesh.policy.identities import FreshNumbers
from tests.conformance.netpol.cases import load
from tests.support import chance
from tests.support.oracle import Document, Flow, Oracle, Request, key_of

CLUSTERS = int(os.environ.get("WEFT_TEST_CLUSTERS", "15"))
WORLD = ("192.0.2.2", "2001:db8::2")


def built(documents: list[Document], numbers: FreshNumbers) -> ClusterPolicy:
    return build(parse(json.dumps({"apiVersion": "v1", "kind": "List", "items": documents}), "random.json"), numbers)


def asked(request: Request) -> HttpRequest:
    return HttpRequest(
        method=request.method,
        path=normalize_path(request.target.encode()),
        host=normalize_host(request.host),
        headers=tuple((name.lower(), value) for name, value in request.headers),
    )


def ends(oracle: Oracle) -> list[tuple[str, str, str]]:
    pods = [
        (key_of(pod), pod["status"]["podIPs"][0]["ip"], pod["status"]["podIPs"][1]["ip"]) for pod in oracle.of("Pod")
    ]
    return [*pods, ("world", *WORLD)]


@pytest.mark.parametrize("seed", range(CLUSTERS))
def test_verdicts_of_random_policies(seed: int) -> None:
    random_ = random.Random(seed)
    oracle = Oracle()
    oracle.apply(chance.cluster(random_))
    oracle.apply(chance.policy(random_, f"p{number}") for number in range(random_.randint(1, 7)))
    cluster = built(list(oracle.documents.values()), FreshNumbers())
    ports = [("TCP", number) for number in (*chance.TCP, 7999)] + [("UDP", number) for number in chance.UDP]
    wrong = []
    for source, target in product(ends(oracle), repeat=2):
        if source == target:
            continue
        for family, (protocol, port) in product((1, 2), ports):
            requests = [None, chance.request(random_), chance.request(random_)] if protocol == "TCP" else [None]
            for request in requests:
                flow = Flow(source[0], target[0], source[family], target[family], protocol, port, request)
                expected = oracle.answer(flow)
                got = decided(cluster, flow)
                if got != (expected.verdict, expected.direction, expected.policies):
                    wrong.append((flow, expected, got))
    assert wrong[:3] == []


def decided(cluster: ClusterPolicy, flow: Flow) -> tuple[str, str, frozenset[str]]:
    source, target = cluster.pods.get(flow.source), cluster.pods.get(flow.target)
    decision = decide(
        FlowQuery(
            source=identity(cluster, flow.source, flow.source_ip),
            destination=identity(cluster, flow.target, flow.target_ip),
            protocol=Protocol[flow.protocol],
            port=flow.port,
            request=None if flow.request is None else asked(flow.request),
        ),
        egress=None if source is None else source.policy.egress,
        ingress=None if target is None else target.policy.ingress,
    )
    if decision.verdict is Verdict.ALLOW:
        return "requests" if decision.needs_l7 and flow.request is None else "allow", "", frozenset()
    word, half = next(
        (word, half)
        for word, half in (("egress", decision.egress), ("ingress", decision.ingress))
        if half is not None and half.verdict is Verdict.DENY and half.layer is decision.layer
    )
    return "deny", word, frozenset(ref.policy for ref in half.decided_by)


def identity(cluster: ClusterPolicy, name: str, ip: str) -> IdentityId:
    if "/" in name:
        return next(number for address, number in cluster.pods[name].addresses if str(address) == ip)
    return cluster.identity_at(ip_address(ip))


def test_the_oracle_itself_reads_the_recorded_cases_right() -> None:
    for case in load():
        for step in case.steps:
            oracle = Oracle()
            oracle.apply(step.documents)
            ips = {key_of(pod): pod["status"]["podIP"] for pod in oracle.of("Pod")}
            for probe in step.probes:
                flow = Flow(
                    probe.source, probe.destination, ips[probe.source], ips[probe.destination],
                    probe.protocol, probe.port,
                )  # fmt: skip
                assert (oracle.answer(flow).verdict == "allow") == probe.allowed, (case.description, probe)
