"""What happens to conntrack entries, decided from values alone."""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from agent.datapath import conntrack
from agent.datapath.tables import CtEntry, CtKey
from mesh import layouts

NOW = 1_000


def key(**changes: Any) -> CtKey:
    values: dict[str, Any] = {
        "endpoint": 1,
        "direction": layouts.DIR_EGRESS,
        "protocol": 6,
        "source": ip_address("10.1.0.2"),
        "destination": ip_address("10.1.0.3"),
        "sport": 2000,
        "dport": 80,
    }
    return CtKey(**{**values, **changes})


def entry(**changes: int) -> CtEntry:
    values = dict.fromkeys(("created_ns", "packets", "bytes", "flags", "peer_identity", "rules_peer", "rules_any"), 0)
    return CtEntry(**{**values, "service": 0, "epoch": 1, "expires_ns": NOW + 1, **changes})


def test_expired_entries_and_those_of_endpoints_that_are_gone_are_dead() -> None:
    entries = [(key(), entry(expires_ns=NOW - 1)), (key(endpoint=9), entry()), (key(sport=3), entry())]
    found = conntrack.sweep(entries, now_ns=NOW, epochs={1: 1})
    assert found.dead == (key(), key(endpoint=9))
    assert found.stale == ()


def test_a_live_flow_of_an_older_epoch_must_be_asked_again() -> None:
    old, closed = (key(), entry(epoch=1)), (key(sport=3), entry(epoch=1, flags=layouts.CT_RESET))
    fresh = (key(sport=4), entry(epoch=2, flags=layouts.CT_PROXIED))
    found = conntrack.sweep([old, closed, fresh], now_ns=NOW, epochs={1: 2})
    assert found.stale == (old,)
    assert found.dead == ()


def test_states_have_names() -> None:
    both = layouts.CT_FIN_FORWARD | layouts.CT_FIN_REPLY
    assert conntrack.state_name(key(), entry()) == "opening"
    assert conntrack.state_name(key(), entry(flags=layouts.CT_SEEN_REPLY)) == "established"
    assert conntrack.state_name(key(), entry(flags=both)) == "closing"
    assert conntrack.state_name(key(), entry(flags=layouts.CT_RESET)) == "reset"
    assert conntrack.state_name(key(protocol=17), entry()) == "unreplied"
