"""Numbers of map entries in words."""

from __future__ import annotations

import pytest

from agent.desired import Numbers
from agent.mapwords import CT_FLAGS, MapWords, flag_words
from mesh.layouts import CT_PROXIED, CT_SEEN_REPLY, IDENTITY_ANY
from mesh.model import Identity, IdentityId, IdentityKind
from tests.support import nodes

RULE = nodes.allow(256).ref
IDENTITIES = {
    IdentityId(256): Identity(id=IdentityId(256), kind=IdentityKind.POD, namespace="shop", service_account="checkout"),
    IdentityId(1 << 24): Identity(
        id=IdentityId(1 << 24), kind=IdentityKind.ADDRESS, prefix=nodes.prefix("198.51.100.0/24")
    ),
}


def words(numbers: Numbers | None = None) -> MapWords:
    return MapWords(IDENTITIES, numbers or Numbers(), {4: "shop/client"})


@pytest.mark.parametrize(
    ("number", "said"),
    [
        (256, "shop/checkout#256"),
        (1 << 24, "198.51.100.0/24"),
        (2, "world"),
        (3, "remote-node"),
        (IDENTITY_ANY, "any"),
        (999, "999"),
    ],
)
def test_an_identity_is_whom_it_stands_for(number: int, said: str) -> None:
    assert words().of_key("mesh_policy", {"identity": number}) == {"identity": said}


@pytest.mark.parametrize(
    ("address", "bits", "prefix"),
    [
        ("10.244.0.0", 120, "10.244.0.0/24"),
        ("0.0.0.0", 96, "0.0.0.0/0"),
        ("fd00::", 64, "fd00::/64"),
        ("::", 0, "::/0"),
    ],
)
def test_a_prefix_is_a_cidr(address: str, bits: int, prefix: str) -> None:
    assert words().of_key("mesh_ipcache", {"prefixBits": bits, "addr": address}) == {
        "prefixBits": None,
        "addr": prefix,
    }


def test_flags_and_rules_of_an_entry_have_names() -> None:
    numbers = Numbers()
    number = numbers.rules.number((RULE,))
    assert words(numbers).of_value("mesh_policy", {"flags": 18, "rules": number}) == {
        "flags": ["allow", "default"],
        "rules": ["MeshPolicy shop/p ingress[0]"],
    }
    assert words().of_value("mesh_policy", {"flags": 2, "rules": 0}) == {"flags": ["allow"]}
    assert words().of_value("mesh_policy", {"flags": 2, "rules": 77})["rules"] == 77, "forgotten: the number at least"


def test_entries_within_an_entry_have_words_too() -> None:
    steps = {"steps": [{"port": 80, "flags": 1, "rules": 0}]}
    assert words().of_value("mesh_policy", steps) == {"steps": [{"port": 80, "flags": ["deny"], "rules": 0}]}


def test_a_bit_that_has_no_name_is_not_hidden() -> None:
    assert flag_words(CT_PROXIED | CT_SEEN_REPLY | 1 << 20, CT_FLAGS) == ["proxied", "replied", "0x100000"]


def test_endpoints_are_pods_wherever_a_map_names_them() -> None:
    assert words().of_key("mesh_endpoint", {"value": 4}) == {"value": "shop/client"}
    assert words().of_value("mesh_ep_if", {"value": 4}) == {"value": "shop/client"}
    assert words().of_key("mesh_ep_if", {"value": 4}) == {}, "that is an interface"
    assert words().of_key("mesh_ct", {"endpoint": 9}) == {"endpoint": "9"}


def test_services_and_gauges_have_names() -> None:
    numbers = Numbers()
    number = numbers.services.number("shop/payments")
    assert words(numbers).of_value("mesh_service", {"service": number}) == {"service": "shop/payments"}
    assert words().of_key("mesh_gauges", {"value": 0}) == {"value": "events-lost"}
