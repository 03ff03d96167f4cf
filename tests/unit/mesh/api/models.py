"""Random, valid values of mesh.model and mesh.snapshot for property tests."""

from __future__ import annotations

from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network

from hypothesis import strategies as st

from mesh.model import (
    EVERY_PORT,
    Action,
    Address,
    Direction,
    DirectionPolicy,
    FlowRecord,
    Grant,
    HeaderMatch,
    HttpMatch,
    HttpRecord,
    Identity,
    IdentityId,
    IdentityKind,
    Layer,
    Match,
    Party,
    PathMatch,
    PolicyKey,
    PolicySet,
    PortRange,
    Prefix,
    Protocol,
    ResolvedRule,
    Revision,
    RuleRef,
    Verdict,
)
from mesh.snapshot import Backend, Frontend, IpcacheEntry, MeshSettings, NodeSnapshot, PodEndpoint

names = st.sampled_from(["a", "b", "web", "db", "x-1"])
text = st.text(alphabet="abc/.*-", max_size=6)
ports = st.integers(1, 65535)
identity_ids = st.integers(256, 300).map(IdentityId)
policy_keys = st.sampled_from(["p1", "p2", "p3"]).map(PolicyKey)
carried = st.sampled_from([Protocol.TCP, Protocol.UDP, Protocol.SCTP])
addresses4 = st.integers(0, 2**32 - 1).map(IPv4Address)
addresses6 = st.integers(2**125, 2**126).map(IPv6Address)
addresses: st.SearchStrategy[Address] = st.one_of(addresses4, addresses6)


@st.composite
def prefixes(draw: st.DrawFn) -> Prefix:
    address = draw(addresses)
    bits = draw(st.integers(0, address.max_prefixlen))
    if isinstance(address, IPv4Address):
        return IPv4Network((address, bits), strict=False)
    return IPv6Network((address, bits), strict=False)


labels = st.dictionaries(names, names, max_size=3).map(lambda pairs: tuple(sorted(pairs.items())))
refs = st.builds(
    RuleRef,
    policy=names.map(lambda name: f"ns/{name}"),
    kind=st.sampled_from(["NetworkPolicy", "MeshPolicy"]),
    rule=st.sampled_from(["", "ingress[0]", "egress[3]"]),
    name=st.sampled_from(["", "read-only"]),
    action=st.sampled_from(Action),
)


@st.composite
def port_ranges(draw: st.DrawFn) -> PortRange:
    low, high = sorted((draw(ports), draw(ports)))
    return draw(st.sampled_from([EVERY_PORT, PortRange(draw(carried), low, high)]))


http_matches = st.builds(
    HttpMatch,
    methods=st.lists(st.sampled_from(["GET", "POST"]), max_size=2).map(tuple),
    paths=st.lists(
        st.builds(PathMatch, st.sampled_from([Match.EXACT, Match.PREFIX, Match.REGEX]), text), max_size=2
    ).map(tuple),
    hosts=st.lists(st.sampled_from(["a.b", "pay.shop"]), max_size=2).map(tuple),
    headers=st.lists(
        st.builds(HeaderMatch, st.sampled_from(["x-a", "x-b"]), st.sampled_from(Match), text), max_size=2
    ).map(tuple),
)
rules = st.builds(
    ResolvedRule,
    ref=refs,
    action=st.sampled_from(Action),
    grants=st.lists(
        st.builds(
            Grant,
            st.one_of(st.none(), st.frozensets(identity_ids, max_size=4)),
            st.lists(port_ranges(), max_size=2).map(tuple),
        ),
        max_size=2,
    ).map(tuple),
    http=st.one_of(st.none(), st.lists(http_matches, max_size=2).map(tuple)),
)
directions = st.builds(
    DirectionPolicy,
    default_deny=st.booleans(),
    selected_by=st.lists(refs, max_size=2).map(tuple),
    rules=st.lists(rules, max_size=3).map(tuple),
)
policy_sets = st.builds(PolicySet, key=policy_keys, egress=directions, ingress=directions)
identities = st.builds(
    Identity,
    id=identity_ids,
    kind=st.sampled_from(IdentityKind),
    namespace=names,
    service_account=names,
    labels=labels,
    namespace_labels=labels,
    entities=st.frozensets(st.sampled_from(["host", "world", "cluster"]), max_size=2),
    blocks=st.frozensets(prefixes(), max_size=3),
    named_ports=st.lists(st.tuples(names, carried, ports), max_size=2).map(lambda items: tuple(sorted(items))),
    prefix=st.one_of(st.none(), prefixes()),
)
ipcache_entries = st.builds(IpcacheEntry, prefix=prefixes(), identity=identity_ids, node=names, pod=text)


@st.composite
def frontends(draw: st.DrawFn) -> Frontend:
    family = draw(st.sampled_from([addresses4, addresses6]))
    port = draw(ports)
    return Frontend(
        namespace=draw(names),
        name=draw(names),
        address=draw(family),
        ports=PortRange(draw(carried), port, port),
        backends=tuple(draw(st.lists(st.builds(Backend, family, ports, text), max_size=3))),
    )


@st.composite
def endpoints(draw: st.DrawFn, numbers: tuple[IdentityId, ...], keys: tuple[PolicyKey, ...]) -> PodEndpoint:
    held = draw(st.lists(addresses, max_size=2, unique=True))
    return PodEndpoint(
        namespace=draw(names),
        name=draw(names),
        uid=draw(text),
        service_account=draw(names),
        addresses=tuple((address, draw(st.sampled_from(numbers))) for address in held),
        enforced=draw(st.booleans()),
        policy=draw(st.sampled_from(keys)),
    )


@st.composite
def snapshots(draw: st.DrawFn, node: str = "node-1") -> NodeSnapshot:
    """A snapshot whose endpoints name identities and policy sets that it holds."""
    known = draw(st.lists(identities, min_size=1, max_size=4, unique_by=lambda item: item.id))
    sets = draw(st.lists(policy_sets, min_size=1, max_size=2, unique_by=lambda item: item.key))
    pods = draw(
        st.lists(
            endpoints(tuple(item.id for item in known), tuple(item.key for item in sets)),
            max_size=3,
            unique_by=lambda item: item.key,
        )
    )
    cache = draw(st.lists(ipcache_entries, max_size=4, unique_by=lambda item: item.prefix))
    services = draw(st.lists(frontends(), max_size=3, unique_by=lambda item: item.key))
    return NodeSnapshot(
        node=node,
        revision=Revision(draw(st.integers(1, 50))),
        settings=MeshSettings(trust_domain="td.test", deny_feedback=draw(st.sampled_from(["Reset", "Drop"]))),
        endpoints={item.key: item for item in pods},
        identities={item.id: item for item in known},
        ipcache={item.prefix: item for item in cache},
        frontends={item.key: item for item in services},
        policies={item.key: item for item in sets},
    )


parties = st.builds(
    Party, namespace=names, pod=names, service_account=names, identity=identity_ids, ip=addresses.map(str), port=ports
)
flows = st.builds(
    FlowRecord,
    id=text,
    time_ns=st.integers(0, 2**62),
    node=names,
    direction=st.sampled_from(Direction),
    verdict=st.sampled_from(Verdict),
    layer=st.sampled_from(Layer),
    protocol=st.sampled_from(Protocol),
    source=parties,
    destination=parties,
    service=names,
    drop_reason=names,
    rules=st.lists(refs, max_size=2).map(tuple),
    http=st.one_of(st.none(), st.builds(HttpRecord, method=names, path=text, status=st.integers(0, 599), host=names)),
    count=st.integers(1, 9),
)
