"""Names tell labs apart, and pods, and fit where they go."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lab.names import BadLabName, LabNames

LABEL = st.from_regex(r"[a-z0-9]([-a-z0-9]{0,20}[a-z0-9])?", fullmatch=True)


def lab_or_none(text: str) -> LabNames | None:
    try:
        return LabNames(text)
    except BadLabName:
        return None


@given(one=LABEL, other=LABEL, node=LABEL)
def test_no_lab_owns_a_namespace_of_another(one: str, other: str, node: str) -> None:
    mine, yours = lab_or_none(one), lab_or_none(f"{one}-{other}")
    if mine is None or yours is None:
        return
    for name in (yours.fabric, yours.world, yours.node(node), yours.pod(other, node)):
        assert yours.owns_netns(name)
        assert not mine.owns_netns(name)
    for name in (mine.fabric, mine.world, mine.node(node), mine.pod(other, node)):
        assert mine.owns_netns(name)
        assert not yours.owns_netns(name)


@pytest.mark.parametrize(
    "name", ["", "-a", "a-", "A", "a.b", "a_b", "x" * 33, "a-node", "a-node-b", "my-pod-1", "../x"]
)
def test_a_lab_name_that_cannot_be_told_apart_is_refused(name: str) -> None:
    with pytest.raises(BadLabName):
        LabNames(name)


def test_pods_whose_names_join_alike_are_told_apart() -> None:
    names = LabNames("t")
    assert names.pod("a", "b-c") != names.pod("a-b", "c")
    assert names.pod_dir("a", "b-c") != names.pod_dir("a-b", "c")
    assert names.pod_cgroup("n", "a", "b-c") != names.pod_cgroup("n", "a-b", "c")


def test_the_longest_pod_name_fits_into_a_file_name() -> None:
    names = LabNames("l" * 32)
    one, other = names.pod("n" * 63, "p" * 253), names.pod("n" * 63, "p" * 252 + "q")
    assert len(one) <= 255
    assert one != other


def test_links_fit_into_fifteen_characters() -> None:
    names = LabNames("t")
    assert len(names.pod_link("n" * 63, "p" * 253)) <= 15
    assert len(names.port_link("n" * 253)) <= 15
    assert names.pod_link("a", "b") != names.pod_link("b", "a")


def test_an_instance_belongs_to_its_lab_alone() -> None:
    assert LabNames("a").owns_instance(LabNames("a").instance("n.b"))
    assert "." not in LabNames("a").instance("n.b")  # bpffs refuses names with a dot
    assert not LabNames("a").owns_instance(LabNames("a-b").instance("n"))


def test_programs_of_the_lab_cannot_collide_with_a_node() -> None:
    names = LabNames("t")
    assert names.controller_cgroup != names.pods_cgroup("controller").rpartition("/")[0]
    assert not names.pod_cgroup("n", "a", "b").startswith(names.host_pod_cgroup("n", "a", "b"))
