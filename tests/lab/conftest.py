"""One cluster for the journeys that leave it as they found it; those that break things bring up their own."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, running

MANIFESTS = Path(__file__).with_name("manifests")


@pytest.fixture(scope="session")
def mesh() -> Iterator[Cluster]:
    """Two nodes, clients and servers on both (manifests/mesh.yaml)."""
    if os.geteuid() != 0:
        pytest.fail("the lab needs root: network namespaces, cgroups and bpf(); run `make test` as root")
    with running("test-mesh", MANIFESTS / "mesh.yaml") as cluster:
        yield cluster
