"""NS/NAME, or NAME with -n."""

from __future__ import annotations

import click
import pytest

from cli.kinds import find
from cli.names import missing, objects, of_kind, placed, split


@pytest.mark.parametrize(
    ("reference", "namespace", "expected"),
    [
        ("shop/a", None, ("shop", "a")),
        ("a", "shop", ("shop", "a")),
        ("a", None, ("default", "a")),
        ("shop/a", "shop", ("shop", "a")),
    ],
)
def test_names(reference: str, namespace: str | None, expected: tuple[str, str]) -> None:
    assert split(reference, namespace) == expected


@pytest.mark.parametrize(
    ("reference", "namespace"), [("", None), ("/a", None), ("a/", None), ("a/b/c", None), ("a/b", "c")]
)
def test_what_is_no_name_is_a_usage_error(reference: str, namespace: str | None) -> None:
    with pytest.raises(click.UsageError):
        split(reference, namespace)


@pytest.mark.parametrize(
    ("who", "expected"),
    [
        ("web", "shop/web"),
        ("other/web", "other/web"),
        ("10.0.0.1", "10.0.0.1"),
        ("10.0.0.0/8", "10.0.0.0/8"),
        ("fd00::1", "fd00::1"),
        ("web.other", "web.other"),
        ("", ""),
    ],
)
def test_only_bare_names_get_a_namespace(who: str, expected: str) -> None:
    assert placed(who, "shop") == expected


def test_a_kind_without_namespaces_takes_none() -> None:
    assert of_kind(find("node"), "node-1", "shop") == ("", "node-1")
    with pytest.raises(click.UsageError, match="has no namespace"):
        of_kind(find("node"), "a/node-1", None)


def test_objects_are_named_by_kind_and_name_or_kind_slash_name() -> None:
    pod, policy, node = find("pod"), find("mp"), find("node")
    assert objects(("po", "shop/a", "b"), "shop") == [(pod, "shop", "a"), (pod, "shop", "b")]
    assert objects(("pod/a", "mp/b", "no/c"), "shop") == [(pod, "shop", "a"), (policy, "shop", "b"), (node, "", "c")]
    assert objects(("pod/shop/a",), None) == [(pod, "shop", "a")]
    assert objects(("pods",), None) == []
    with pytest.raises(click.UsageError, match="write KIND/NAME"):
        objects(("pod/a", "b"), None)


def test_what_is_missing_is_named_in_full() -> None:
    assert missing("Pod", "shop", "a") == "there is no Pod shop/a"
    assert missing("Node", "", "n") == "there is no Node n"
