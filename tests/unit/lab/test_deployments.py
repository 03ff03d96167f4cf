"""Deployments become pods, and change without a gap."""

from __future__ import annotations

from lab.deployments import HASH_LABEL, expand, owner_of
from lab.podspec import key_of
from tests.unit.lab.documents import deployment, pod


def test_names_are_the_same_at_every_run_and_tell_templates_apart() -> None:
    one, again = expand([deployment()], {}, ()).create, expand([deployment()], {}, ()).create
    other = expand([deployment(image="web:2")], {}, ()).create
    assert [key_of(item) for item in one] == [key_of(item) for item in again]
    assert key_of(one[0]) != key_of(other[0])
    digest = one[0]["metadata"]["labels"][HASH_LABEL]
    assert key_of(one[1]) == f"shop/web-{digest}-1"
    assert owner_of(one[0]) == "web"
    assert one[0]["metadata"]["labels"]["app"] == "web"


def test_replicas_that_are_null_are_the_default() -> None:
    """The controller takes it so at its door, and the lab must not stumble over what came in."""
    document = deployment()
    document["spec"]["replicas"] = None
    assert len(expand([document], {}, ()).create) == 1


def test_only_what_is_missing_is_created() -> None:
    first, second = expand([deployment()], {}, ()).create
    expansion = expand([deployment()], {key_of(first): first}, ())
    assert expansion.create == (second,)
    assert expansion.delete == ()


def test_fewer_replicas_remove_the_last_ones_at_once() -> None:
    held = {key_of(item): item for item in expand([deployment(replicas=3)], {}, ()).create}
    expansion = expand([deployment(replicas=1)], held, ())
    assert expansion.create == ()
    assert expansion.delete == tuple(sorted(held))[1:]


def test_old_pods_stay_until_the_new_template_s_are_ready() -> None:
    old = {key_of(item): item for item in expand([deployment()], {}, ()).create}
    rolling = expand([deployment(image="web:2")], old, ())
    assert len(rolling.create) == 2
    assert rolling.delete == ()
    new = {key_of(item): item for item in rolling.create}
    assert expand([deployment(image="web:2")], old | new, ()).delete == ()
    assert expand([deployment(image="web:2")], old | new, set(new)).delete == tuple(sorted(old))


def test_pods_of_a_deployment_that_is_gone_go_and_others_stay() -> None:
    held = {key_of(item): item for item in expand([deployment()], {}, ()).create}
    alone = pod("alone")
    assert expand([], held | {key_of(alone): alone}, ()).delete == tuple(sorted(held))
