"""Numbers: the same for the same shape, after a restart too, and never a second time."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from controller import identities
from controller.errors import ControllerError
from controller.identities import Numbers
from controller.store import Store
from mesh.model import FIRST_ADDRESS_IDENTITY, FIRST_POD_IDENTITY, IdentityId, IdentityKind
from mesh.policy.identities import IdentityShape


def shape(name: str) -> IdentityShape:
    return IdentityShape(kind=IdentityKind.POD, namespace=name)


def test_equal_shapes_have_one_number_in_the_range_of_their_kind(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    numbers = Numbers(store)
    assert (numbers(shape("a")), numbers(shape("b")), numbers(shape("a"))) == (256, 257, 256)
    block = IdentityShape(kind=IdentityKind.ADDRESS, prefix=ip_network("10.0.0.0/8"))
    assert numbers(block) == FIRST_ADDRESS_IDENTITY
    store.close()


def test_a_restart_gives_the_same_numbers_and_goes_on_after_them(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    numbers = Numbers(store)
    first = numbers(shape("a"))
    numbers.keep()
    store.close()
    store = Store(tmp_path / "store.db")
    again = Numbers(store)
    assert (again(shape("new")), again(shape("a"))) == (first + 1, first)
    store.close()


@settings(max_examples=15, deadline=None)
@given(st.lists(st.sampled_from("abcdef"), max_size=20), st.sets(st.sampled_from("abcdef")))
def test_a_forgotten_number_never_comes_back(
    tmp_path_factory: pytest.TempPathFactory, names: list[str], kept: set[str]
) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(identities, "FORGET_ABOVE", 0)
        store = Store(tmp_path_factory.mktemp("numbers") / "store.db")
        numbers = Numbers(store)
        given_before = {name: numbers(shape(name)) for name in names}
        numbers.keep()
        numbers.forget([number for name, number in given_before.items() if name in kept])
        store.close()
        store = Store(Path(store._path))
        numbers = Numbers(store)
        after = {name: numbers(shape(name)) for name in "abcdef"}
        for name, number in after.items():
            if name in kept and name in given_before:
                assert number == given_before[name]
            elif len(given_before) > len(kept & set(given_before)):
                assert number not in given_before.values()
        store.close()


def test_a_spent_range_is_said(tmp_path: Path) -> None:
    store = Store(tmp_path / "store.db")
    store.add_identities({}, {"next_pod_identity": FIRST_ADDRESS_IDENTITY - 1})
    numbers = Numbers(store)
    assert numbers(shape("a")) == IdentityId(FIRST_ADDRESS_IDENTITY - 1)
    with pytest.raises(ControllerError, match="all pod identities are spent"):
        numbers(shape("b"))
    assert FIRST_POD_IDENTITY == 256
    store.close()
