"""What the numbers of a map entry stand for: prefixes, flags, identities, pods, Services, rules. Pure.

`map dump` answers with the numbers, which scripts read, and beside them with these words for people. Only what reads
better so is given; a field that another one has taken in is None.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import IPv4Address, ip_address
from typing import Any

from agent.datapath.mapnames import BY_ENDPOINT
from agent.desired import Numbers
from mesh import layouts
from mesh.layouts import Gauge
from mesh.model import Identity, IdentityId, IdentityKind, ReservedIdentity, RuleRef

Row = dict[str, Any]

CT_FLAGS = {
    layouts.CT_PROXIED: "proxied",
    layouts.CT_UPSTREAM: "upstream",
    layouts.CT_SEEN_REPLY: "replied",
    layouts.CT_FIN_FORWARD: "fin-forward",
    layouts.CT_FIN_REPLY: "fin-reply",
    layouts.CT_RESET: "reset",
}
_FLAGS: dict[str, dict[int, str]] = {
    "mesh_ipcache": {layouts.IPCACHE_LOCAL: "local"},
    "mesh_endpoint": {layouts.ENDPOINT_HAS_V4: "ipv4", layouts.ENDPOINT_HAS_V6: "ipv6"},
    "mesh_policy": {
        layouts.POLICY_DENY: "deny",
        layouts.POLICY_ALLOW: "allow",
        layouts.POLICY_HTTP_ALLOW: "http-allow",
        layouts.POLICY_HTTP_DENY: "http-deny",
        layouts.POLICY_DEFAULT: "default",
        layouts.POLICY_FINAL: "final",
        layouts.POLICY_MORE: "more",
    },
    "mesh_ct": CT_FLAGS,
    "mesh_redirect": {layouts.REDIRECT_EGRESS: "egress", layouts.REDIRECT_INGRESS: "ingress"},
    "mesh_config": {layouts.CONFIG_PROXY_UP: "proxy-up", layouts.CONFIG_DROP_SILENTLY: "drop-silently"},
}
_IDENTITIES = frozenset({"identity", "identity4", "identity6", "peerIdentity", "srcIdentity", "dstIdentity"})
_ENDPOINTS = frozenset({"endpoint", "srcEndpoint", "dstEndpoint"})
_RULES = frozenset({"rules", "rulesPeer", "rulesAny"})
_RESERVED, _GAUGES = frozenset(ReservedIdentity), frozenset(Gauge)
_ENDPOINT_KEYS = BY_ENDPOINT | {"mesh_endpoint"}
_ENDPOINT_VALUES = frozenset({"mesh_ep_if", "mesh_ep_addr", "mesh_ep_ns"})


def policy_flags(flags: int) -> list[str]:
    return flag_words(flags, _FLAGS["mesh_policy"])


def flag_words(flags: int, words: Mapping[int, str]) -> list[str]:
    """Bits without a name stay a number."""
    unnamed = flags & ~sum(words)
    return [word for bit, word in words.items() if flags & bit] + ([hex(unnamed)] if unnamed else [])


@dataclass(frozen=True, slots=True)
class MapWords:
    """What explains numbers at this moment."""

    identities: Mapping[IdentityId, Identity]
    numbers: Numbers
    pods: Mapping[int, str]
    """By the number of the endpoint."""

    def of_key(self, name: str, key: Row) -> Row:
        if name in _ENDPOINT_KEYS:
            return {"value": self._endpoint(key["value"])}
        if name == "mesh_gauges" and key["value"] in _GAUGES:
            return {"value": Gauge(key["value"]).name.removeprefix("GAUGE_").lower().replace("_", "-")}
        return self._of(name, key)

    def of_value(self, name: str, value: Row) -> Row:
        return {"value": self._endpoint(value["value"])} if name in _ENDPOINT_VALUES else self._of(name, value)

    def _of(self, name: str, fields: Row) -> Row:
        words: Row = {}
        if name == "mesh_ipcache" and "prefixBits" in fields:
            words |= {"prefixBits": None, "addr": _prefix(fields["addr"], fields["prefixBits"])}
        for field, value in fields.items():
            if isinstance(value, list):
                if value and isinstance(value[0], dict):
                    words[field] = [item | self._of(name, item) for item in value]
            elif field == "flags" and name in _FLAGS:
                words[field] = flag_words(value, _FLAGS[name])
            elif field in _IDENTITIES:
                words[field] = self.identity(value)
            elif field in _ENDPOINTS:
                words[field] = self._endpoint(value)
            elif field in _RULES and value:
                words[field] = self.rules(value) or value
            elif field == "service" and value:
                words[field] = self.numbers.services.item(value) or value
        return words

    def identity(self, number: int) -> str:
        """`any`, `world`, `shop/checkout#258` (namespace and account; several can have one), or a prefix."""
        if number == layouts.IDENTITY_ANY:
            return "any"
        if number in _RESERVED:
            return ReservedIdentity(number).name.lower().replace("_", "-")
        known = self.identities.get(IdentityId(number))
        if known is None:
            return str(number)
        if known.kind is IdentityKind.POD:
            return f"{known.namespace}/{known.service_account}#{number}"
        return str(known.prefix) if known.prefix is not None else f"{known.kind.value}#{number}"

    def rules(self, number: int) -> list[str]:
        """Of a set of rules, by its number."""
        return [_rule(ref) for ref in self.numbers.rules.item(number) or ()] if number else []

    def _endpoint(self, number: int) -> str:
        return self.pods.get(number, str(number))


def _prefix(address: str, bits: int) -> str:
    """As a CIDR: the map holds IPv4 inside ::ffff:0:0/96."""
    if isinstance(ip_address(address), IPv4Address):
        return f"{address}/{bits - 96}" if bits >= 96 else f"::ffff:{address}/{bits}"
    return f"{address}/{bits}"


def _rule(ref: RuleRef) -> str:
    return " ".join(part for part in (ref.kind, ref.policy, ref.rule) if part)
