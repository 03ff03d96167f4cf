"""The wires of a lab, on a netlink that only takes notes: who routes whom, by which way."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import contextmanager
from ipaddress import ip_address
from typing import Any

import pytest

from lab import net
from lab.addressing import allocate, plan_node
from lab.names import LabNames
from lab.net import Wires, WiringFailed

NAMES = LabNames("t")
N1 = plan_node((), (), ())
N2 = plan_node((), (), (N1,))


class Link:
    """One namespace: links by name, routes by destination."""

    def __init__(self) -> None:
        self.links = {"lo": 1, "eth0": 2}
        self.routes: dict[str, dict[str, Any]] = {}
        self.addresses: list[str] = []
        self.neighbours: dict[str, str] = {}

    def link(self, what: str, **how: Any) -> None:
        if what == "add":
            self.links[how["ifname"]] = len(self.links) + 1
        elif what == "del":
            self.links = {name: index for name, index in self.links.items() if index != how["index"]}
            self.routes = {to: route for to, route in self.routes.items() if route.get("oif") != how["index"]}

    def link_lookup(self, *, ifname: str) -> list[int]:
        return [index for name, index in self.links.items() if name == ifname]

    def addr(self, _: str, **how: Any) -> None:
        self.addresses.append(f"{how['address']}/{how['prefixlen']}")

    def neigh(self, _: str, **how: Any) -> None:
        self.neighbours[how["dst"]] = how["lladdr"]

    def route(self, what: str, **how: Any) -> None:
        if what == "del":
            self.routes.pop(how["dst"], None)
        else:
            self.routes[how["dst"]] = how


@pytest.fixture
def spaces(monkeypatch: pytest.MonkeyPatch) -> dict[str, Link]:
    made: dict[str, Link] = {}

    def create(name: str, _: dict[str, str]) -> None:
        assert name not in made
        made[name] = Link()

    @contextmanager
    def netlink(name: str) -> Iterator[Link]:
        yield made[name]

    monkeypatch.setattr(net.netns, "create", create)
    monkeypatch.setattr(net.netns, "remove", made.pop)
    monkeypatch.setattr(net, "_netlink", netlink)
    monkeypatch.setattr(net.os, "open", lambda *_: 0)
    monkeypatch.setattr(net.os, "close", lambda _: None)
    return made


async def build(wires: Wires) -> None:
    await wires.add_fabric()
    await wires.add_node("n1", N1)
    await wires.add_pod("shop/a", "n1", allocate(N1.pod_cidrs, ()))
    await wires.add_node("n2", N2)
    await wires.add_pod("shop/b", "n2", (ip_address("1.2.3.4"),))


def test_every_node_and_the_world_route_every_pod_by_its_own_node(spaces: dict[str, Link]) -> None:
    wires = Wires(NAMES)
    asyncio.run(build(wires))
    wires.close()
    n1, n2, world = spaces[NAMES.node("n1")], spaces[NAMES.node("n2")], spaces[NAMES.world]
    for other in (n2, world):  # n2 came after the pod did
        assert other.routes["10.244.0.2/32"]["gateway"] == str(N1.v4)
        assert other.routes["fd00:10:244::2/128"]["gateway"] == str(N1.v6)
    for other in (n1, world):
        assert other.routes["1.2.3.4/32"]["gateway"] == str(N2.v4)
    own = n1.routes["10.244.0.2/32"]
    assert own["oif"] == n1.links[NAMES.pod_link("shop", "a")]
    assert own["prefsrc"] == str(N1.v4)


def test_a_pod_has_its_addresses_a_way_out_and_a_known_neighbour(spaces: dict[str, Link]) -> None:
    wires = Wires(NAMES)
    asyncio.run(build(wires))
    wires.close()
    a, b = spaces[NAMES.pod("shop", "a")], spaces[NAMES.pod("shop", "b")]
    assert a.addresses == ["10.244.0.2/32", "fd00:10:244::2/128"]
    assert a.routes["0.0.0.0/0"]["gateway"] == "169.254.1.1"
    assert a.routes["::/0"]["gateway"] == "fe80::1"
    assert set(a.neighbours) == {"169.254.1.1", "fe80::1"}
    assert "::/0" not in b.routes


def test_a_pod_that_goes_leaves_no_route_and_no_link(spaces: dict[str, Link]) -> None:
    wires = Wires(NAMES)

    async def run() -> None:
        await build(wires)
        await wires.remove_pod("shop/b")

    asyncio.run(run())
    wires.close()
    assert NAMES.pod("shop", "b") not in spaces
    assert NAMES.pod_link("shop", "b") not in spaces[NAMES.node("n2")].links
    assert all("1.2.3.4/32" not in link.routes for link in spaces.values())
    assert "10.244.0.2/32" in spaces[NAMES.world].routes


def test_a_node_that_goes_is_forgotten_by_the_others(spaces: dict[str, Link]) -> None:
    wires = Wires(NAMES)

    async def run() -> None:
        await build(wires)
        await wires.remove_node("n2")
        await wires.remove_node("n2")

    asyncio.run(run())
    wires.close()
    assert NAMES.node("n2") not in spaces
    assert all(f"{N2.v4}/32" not in link.routes for link in spaces.values())


def test_a_link_that_is_missing_is_named() -> None:
    with pytest.raises(WiringFailed, match="br9"):
        net._index(Link(), "br9")  # type: ignore[arg-type]
