"""Kinds and their short names."""

from __future__ import annotations

import click
import pytest

from cli.kinds import KINDS, find, find_many


@pytest.mark.parametrize(
    ("word", "name"),
    [
        ("po", "Pod"),
        ("Pods", "Pod"),
        ("svc", "Service"),
        ("ns", "Namespace"),
        ("no", "Node"),
        ("sa", "ServiceAccount"),
        ("netpol", "NetworkPolicy"),
        ("networkpolicies.networking.k8s.io", "NetworkPolicy"),
        ("mp", "MeshPolicy"),
        ("deploy", "Deployment"),
        ("eps", "EndpointSlice"),
        ("MeshConfig", "MeshConfig"),
    ],
)
def test_every_word_of_kubectl_is_known(word: str, name: str) -> None:
    assert find(word).name == name


def test_no_two_kinds_share_a_word() -> None:
    words = [word for kind in KINDS for word in kind.words]
    assert len(words) == len(set(words))


def test_several_kinds_each_once() -> None:
    assert [kind.name for kind in find_many("po,svc,pods")] == ["Pod", "Service"]
    assert "MeshPolicy" in [kind.name for kind in find_many("all")]


def test_an_unknown_kind_lists_the_known_ones() -> None:
    with pytest.raises(click.UsageError, match="no kind 'ingress'; the kinds are namespaces"):
        find("ingress")
