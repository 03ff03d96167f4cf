"""How full the maps are, without a look into them."""

from __future__ import annotations

from typing import Any

from agent.datapath.fake import FakeDatapath
from agent.datapath.mapnames import SHAPES
from agent.datapath.tables import EndpointEntry
from agent.pressure import nearly_full, pressure
from agent.realized import Realized


def test_every_map_that_can_fill_up_has_its_share() -> None:
    shares = pressure(FakeDatapath().tables, Realized(), 0)
    assert shares == {name: 0 for name, shape in SHAPES.items() if shape.can_fill}


def test_shares_are_what_is_written_and_what_the_last_walk_found() -> None:
    tables: Any = FakeDatapath().tables
    tables.conntrack.max_entries = 200
    tables.endpoint.max_entries = 4
    realized = Realized()
    realized.put("endpoint", 1, entry())
    shares = pressure(tables, realized, 150)
    assert (shares["mesh_ct"], shares["mesh_endpoint"]) == (0.75, 0.25)


def test_a_map_is_named_before_it_is_full() -> None:
    assert nearly_full({"mesh_ct": 0.89, "mesh_policy": 0.2}) == ""
    assert nearly_full({"mesh_policy": 1.0, "mesh_ct": 0.9}) == "maps nearly full: mesh_ct 90%, mesh_policy 100%"


def entry() -> EndpointEntry:
    return EndpointEntry(
        ifindex=1, policy_set=0, epoch=1, flags=0, identity4=0, identity6=0, addr4=None, addr6=None, netns_cookie=0
    )
