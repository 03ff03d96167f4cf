"""Rows of a node's answers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agent.datapath.fake import FakeDatapath
from agent.datapath.interface import DatapathError
from agent.datapath.tables import IpcacheEntry, IpcacheKey
from agent.errors import AgentError
from agent.listings import flow_rows, map_rows
from mesh.layouts import CT_PROXIED, CT_SEEN_REPLY
from tests.support import nodes
from tests.unit.agent.test_evaluate import ENTRY, KEY


def test_a_flow_row_has_the_promised_keys() -> None:
    rows, cut = flow_rows([(KEY, replace(ENTRY, flags=CT_PROXIED | CT_SEEN_REPLY))], {1: "shop/a"}, 0)
    assert not cut
    assert rows[0]["endpoint"] == "shop/a"
    assert rows[0]["direction"] == "ingress"
    assert rows[0]["protocol"] == "TCP"
    assert rows[0]["flags"] == ["proxied", "replied"]
    assert rows[0]["state"] == "established"


def test_map_rows_are_key_and_value_and_need_a_name() -> None:
    datapath = FakeDatapath()
    datapath.tables.ipcache.put(IpcacheKey(nodes.prefix("10.0.0.1/32")), IpcacheEntry(256))
    rows, _ = map_rows(datapath.tables, "ipcache")
    assert set(rows[0]) == {"key", "value"}
    with pytest.raises(AgentError, match="which map"):
        map_rows(datapath.tables, "")
    with pytest.raises(DatapathError, match="there are"):
        map_rows(datapath.tables, "nonsense")
