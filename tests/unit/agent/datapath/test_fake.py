"""The fake keeps the promises of the interface (the kernel's own are kept by tests/bpf/test_tables_contract.py)."""

from __future__ import annotations

import os
import select
from collections.abc import Iterator

import pytest

from agent.datapath.fake import FakeDatapath, FakeTable
from agent.datapath.tables import FlowEvent
from tests.support.datapathcontract import TablesContract


@pytest.fixture
def datapath() -> Iterator[FakeDatapath]:
    fake = FakeDatapath()
    yield fake
    fake.close()


class TestFakeTables(TablesContract):
    @pytest.fixture
    def tables(self, datapath: FakeDatapath) -> object:
        table = datapath.tables.endpoint_by_netns
        assert isinstance(table, FakeTable)
        table.max_entries = 16
        return datapath.tables


def test_only_the_first_load_is_cold(datapath: FakeDatapath) -> None:
    assert [datapath.ensure_loaded(), datapath.ensure_loaded()] == [True, False]


def test_missing_hooks_are_named_until_they_are_attached(datapath: FakeDatapath) -> None:
    datapath.attach_uplink(9)
    assert datapath.hooks_missing(pods=[4], uplinks=[9]) == ["tc_from_pod on ifindex 4", "tc_to_pod on ifindex 4"]
    datapath.attach_pod(4)
    datapath.broken.add("tc_to_pod on ifindex 4: another version hangs there")
    assert len(datapath.hooks_missing(pods=[4], uplinks=[9])) == 1
    datapath.attach_pod(4)
    assert datapath.hooks_missing(pods=[4], uplinks=[9]) == []


def test_a_fake_that_nobody_listens_to_takes_no_descriptors(monkeypatch: pytest.MonkeyPatch) -> None:
    """Tests make hundreds of them, and few give theirs back."""
    monkeypatch.setattr(os, "pipe2", lambda flags: pytest.fail("descriptors were taken"))
    FakeDatapath().close()


def test_events_are_announced_by_a_descriptor(datapath: FakeDatapath) -> None:
    event = FlowEvent.unpack(bytes(88))
    assert select.select([datapath.event_fd()], [], [], 0)[0] == []
    datapath.announce(event)
    datapath.announce(event)
    assert select.select([datapath.event_fd()], [], [], 0)[0] == [datapath.event_fd()]
    taken: list[FlowEvent] = []
    assert datapath.read_events(taken.append, limit=1) == 1
    assert select.select([datapath.event_fd()], [], [], 0)[0] == [datapath.event_fd()]
    assert datapath.read_events(taken.append, limit=9) == 1
    assert select.select([datapath.event_fd()], [], [], 0)[0] == []
    assert taken == [event, event]
