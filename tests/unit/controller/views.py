"""A compiled cluster for tests of what reads one."""

from __future__ import annotations

from controller.intent import Intent
from controller.snapshot import ClusterView, cluster_view
from mesh.model import IdentityId
from mesh.policy.cluster import build
from mesh.policy.identities import FreshNumbers, IdentityShape
from tests.unit.controller.manifests import intent_of


class SameNumbers:
    """Numbers that last from one view to the next, as the store's do."""

    def __init__(self) -> None:
        self._fresh = FreshNumbers()

    def __call__(self, shape: IdentityShape) -> IdentityId:
        return self._fresh(shape)


def view_of(intent: Intent, *, numbers: SameNumbers | None = None, before: ClusterView | None = None) -> ClusterView:
    objects = list(intent.objects())
    return cluster_view(objects, build(objects, numbers or SameNumbers()), intent.revision, before)


def compiled(*texts: str) -> tuple[ClusterView, Intent]:
    intent = intent_of(*texts)
    return view_of(intent), intent
