"""Which addresses change identity early, which late, and with which bridges."""

from __future__ import annotations

from agent.datapath.tables import IpcacheEntry, IpcacheKey
from agent.moves import Cover, moves
from tests.support import nodes


def table(**entries: int) -> dict[IpcacheKey, IpcacheEntry]:
    return {IpcacheKey(nodes.prefix(f"10.0.0.{name[1:]}/32")): IpcacheEntry(n) for name, n in entries.items()}


def key(text: str) -> IpcacheKey:
    return IpcacheKey(nodes.prefix(text))


def test_the_longest_prefix_names_the_identity() -> None:
    cover = Cover({key("0.0.0.0/0"): IpcacheEntry(2), key("10.0.0.0/8"): IpcacheEntry(0), **table(a1=256)})
    assert cover.of(nodes.address("10.0.0.1")) == 256
    assert cover.of(nodes.address("10.0.0.2")) == 0
    assert cover.of(nodes.address("192.0.2.1")) == 2
    assert cover.above(nodes.prefix("10.0.0.1/32")) == 0


def test_an_identity_that_is_new_is_bridged_from_the_old_one() -> None:
    found = moves(table(a1=256), table(a1=257))
    assert found.into_old == {257: 256}
    assert found.early == {key("10.0.0.1/32")}


def test_joining_an_identity_that_others_have_waits_for_the_flip() -> None:
    found = moves(table(a1=256, a2=257), table(a1=257, a2=257))
    assert found.into_new == {256: 257}
    assert found.early == frozenset()


def test_an_address_that_was_unknown_appears_late_and_needs_no_bridge() -> None:
    found = moves(table(a1=0), table(a1=256))
    assert (found.early, found.pairs, found.into_old, found.into_new) == (frozenset(), frozenset(), {}, {})


def test_a_prefix_carved_out_of_the_world_is_a_move_from_the_world() -> None:
    world = {key("0.0.0.0/0"): IpcacheEntry(2)}
    found = moves(world, {**world, **table(a1=1 << 24)})
    assert found.pairs == {(2, 1 << 24)}
    assert found.into_old == {1 << 24: 2}


def test_nothing_changes_nothing() -> None:
    assert moves(table(a1=256), table(a1=256)).pairs == frozenset()
