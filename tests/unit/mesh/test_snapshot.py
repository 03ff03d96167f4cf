"""The difference of two snapshots leads from one to the other, always."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given, settings

from mesh.model import Revision
from mesh.snapshot import NodeSnapshot, apply, dangling, diff
from tests.unit.mesh.api.models import snapshots


@settings(max_examples=150, deadline=None)
@given(snapshots(), snapshots())
def test_applying_the_difference_gives_the_new_snapshot(old: NodeSnapshot, new: NodeSnapshot) -> None:
    assert apply(old, diff(old, new)) == new


@settings(max_examples=30, deadline=None)
@given(snapshots())
def test_nothing_changed_is_an_empty_delta_that_advances_the_revision(snapshot: NodeSnapshot) -> None:
    later = replace(snapshot, revision=Revision(snapshot.revision + 1))
    delta = diff(snapshot, later)
    assert delta.empty
    assert apply(snapshot, delta) == later


def test_a_delta_of_another_base_is_refused() -> None:
    old, new = NodeSnapshot(node="n", revision=Revision(1)), NodeSnapshot(node="n", revision=Revision(2))
    with pytest.raises(ValueError, match="delta starts at revision 1, this node holds 2"):
        apply(new, diff(old, new))


@settings(max_examples=30, deadline=None)
@given(snapshots())
def test_what_is_named_but_not_held_is_found(snapshot: NodeSnapshot) -> None:
    assert dangling(snapshot) == ()
    bare = replace(snapshot, policies={})
    assert len(dangling(bare)) == len(snapshot.endpoints)
