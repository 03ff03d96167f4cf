"""The kernel and `mesh.policy.decide` give one verdict: 10,000 random pairs of policy and packet, and more."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv6Address, ip_network
from random import Random

from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from agent.datapath.tables import IpcacheEntry, IpcacheKey
from agent.desired import rules_text
from agent.numbers import NumberTable
from agent.policysets import content_of, keys_of
from mesh import layouts
from mesh.model import Direction, FlowQuery, PolicySet, Protocol, RuleRef, Verdict
from mesh.policy.chains import compile_chains
from mesh.policy.decide import decide
from tests.bpf import programs
from tests.bpf.programs import ADDRESS, POD_IDENTITY, POD_SET, Bench
from tests.support.policies import IDENTITIES, STRANGER, Flow, flows_of, policy_sets

POLICIES = 200
PACKETS = 60
ENOUGH = 10_000
PEERS = {
    identity: (IPv4Address(0x0B000000 + number), IPv6Address((0xFD0B << 112) + number))
    for number, identity in enumerate((*IDENTITIES, STRANGER), 1)
}


def write_policy(bench: Bench, policy: PolicySet) -> None:
    table = bench.datapath.tables.policy
    table.delete_many([key for key, _ in table.items()])
    numbers: NumberTable[tuple[RuleRef, ...]] = NumberTable(rules_text)
    for identity, part in content_of(compile_chains(policy), numbers).items():
        table.put_many(keys_of(POD_SET, identity, part))


def packet_of(flow: Flow, version: int, sport: int) -> bytes:
    here, there = ADDRESS[version], PEERS[flow.peer][version == 6]
    source, destination = (here, there) if flow.direction is Direction.EGRESS else (there, here)
    protocol = int(flow.protocol)
    if protocol == programs.ICMP and version == 6:
        protocol = programs.ICMPV6
    return programs.frame(source, destination, protocol, programs.l4(protocol, sport, flow.port))


def kernel_verdict(bench: Bench, flow: Flow, version: int, sport: int) -> tuple[Verdict, bool]:
    """(verdict at L4, needs the proxy). The hand-over itself cannot succeed here: see `programs`."""
    program = "tc_from_pod" if flow.direction is Direction.EGRESS else "tc_to_pod"
    seen = bench.run(program, packet_of(flow, version, sport))
    if seen.reason in (layouts.DROP_PROXY_MISSING, layouts.DROP_PROXY_BYPASS):
        return Verdict.ALLOW, True
    if seen.passed:
        assert seen.verdict == layouts.VERDICT_ALLOW
        return Verdict.ALLOW, False
    assert seen.reason in (layouts.DROP_POLICY_DENY, layouts.DROP_POLICY_DEFAULT), layouts.DropReason(seen.reason)
    return Verdict.DENY, False


def model_verdict(policy: PolicySet, flow: Flow, version: int) -> tuple[Verdict, bool]:
    protocol = Protocol.ICMPV6 if flow.protocol is Protocol.ICMP and version == 6 else flow.protocol
    egress = flow.direction is Direction.EGRESS
    query = FlowQuery(
        source=POD_IDENTITY if egress else flow.peer,
        destination=flow.peer if egress else POD_IDENTITY,
        protocol=protocol,
        port=flow.port,
    )
    made = decide(query, egress=policy.egress if egress else None, ingress=None if egress else policy.ingress)
    return made.verdict, made.needs_l7


def test_kernel_and_model_give_one_verdict(bench: Bench) -> None:
    bench.datapath.configure(programs.config(flags=layouts.CONFIG_PROXY_UP | layouts.CONFIG_DROP_SILENTLY))
    for identity, addresses in PEERS.items():
        for address in addresses:
            bench.datapath.tables.ipcache.put(IpcacheKey(ip_network(address)), IpcacheEntry(identity))
    ran = 0
    seen_verdicts: set[tuple[Verdict, bool]] = set()

    @settings(
        max_examples=POLICIES,
        deadline=None,
        database=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(policy=policy_sets(), seed=st.integers(0, 2**32))
    def agree(policy: PolicySet, seed: int) -> None:
        nonlocal ran
        write_policy(bench, policy)
        lot = Random(seed)
        flows = list(flows_of(policy))
        for flow in lot.sample(flows, min(PACKETS, len(flows))):
            version = lot.choice((4, 6))
            ran += 1
            kernel, model = (
                kernel_verdict(bench, flow, version, 1024 + ran % 60000),
                model_verdict(policy, flow, version),
            )
            assert kernel == model, (flow, version, policy)
            seen_verdicts.add(kernel)
        table = bench.datapath.tables.conntrack
        table.delete_many([key for key, _ in table.items()])

    agree()
    assert ran >= ENOUGH
    assert len(seen_verdicts) == 3  # every kind of answer came up
