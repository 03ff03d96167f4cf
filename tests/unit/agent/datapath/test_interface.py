"""Both datapaths satisfy the interface, as far as names go; mypy holds them to the types."""

from __future__ import annotations

from agent.datapath.fake import FakeDatapath, FakeTables
from agent.datapath.interface import Datapath, DatapathError, MapFull, Tables
from agent.datapath.kernel import KernelDatapath
from agent.datapath.mapnames import STEMS


def public(kind: type) -> set[str]:
    return {name for name in dir(kind) if not name.startswith("_")}


def test_both_datapaths_have_every_call() -> None:
    for kind in (FakeDatapath, KernelDatapath):
        assert public(Datapath) - public(kind) <= {"tables"}


def test_every_table_of_the_interface_has_a_map() -> None:
    assert set(Tables.__annotations__) == set(STEMS)
    assert public(Tables) <= public(FakeTables)


def test_a_full_map_is_a_datapath_error() -> None:
    assert issubclass(MapFull, DatapathError)
