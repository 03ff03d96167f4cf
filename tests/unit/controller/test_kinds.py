"""The words for kinds."""

from __future__ import annotations

import pytest

from controller.errors import NoSuchThing
from controller.kinds import id_of, kind_of, kinds_of
from mesh.objects.kinds import KINDS


@pytest.mark.parametrize("word", ["NetworkPolicy", "networkpolicies", "netpol", "NETWORKPOLICY"])
def test_singular_plural_and_short(word: str) -> None:
    assert kind_of(word) == "NetworkPolicy"


def test_every_kind_has_its_words() -> None:
    assert {kind_of(kind.lower()) for kind in KINDS} == set(KINDS)
    assert kind_of("services") == "Service"
    assert kinds_of("all") == tuple(KINDS)


def test_others_are_refused_with_those_there_are() -> None:
    with pytest.raises(NoSuchThing, match="there is no kind 'gremlins'; the kinds are Namespace, "):
        kind_of("gremlins")


def test_a_name_is_in_the_default_namespace_unless_its_kind_has_none() -> None:
    assert id_of("pods", "", "web") == ("Pod", "default", "web")
    assert id_of("po", "shop", "web") == ("Pod", "shop", "web")
    assert id_of("node", "shop", "node-a") == ("Node", "", "node-a")
