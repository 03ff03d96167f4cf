"""Bad input is refused with file, object, field and reason, and what is in force stays."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.cluster import Cluster
from tests.support.waiting import eventually

NETPOL = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: bad, namespace: t}}\nspec: {0}\n"
MESH = "apiVersion: weft.dev/v1alpha1\nkind: MeshPolicy\nmetadata: {{name: bad, namespace: t}}\nspec: {0}\n"

BAD = {
    "unknown field": (NETPOL.format("{podSelector: {}, ingres: []}"), "ingres"),
    "wrong type": (NETPOL.format("{podSelector: [], ingress: []}"), "podSelector"),
    "port out of range": (NETPOL.format("{podSelector: {}, ingress: [{ports: [{port: 70000}]}]}"), "port"),
    "endPort below port": (
        NETPOL.format("{podSelector: {}, ingress: [{ports: [{port: 80, endPort: 70}]}]}"),
        "endPort",
    ),
    "not a cidr": (NETPOL.format("{podSelector: {}, ingress: [{from: [{ipBlock: {cidr: 10.0.0.300/8}}]}]}"), "cidr"),
    "unknown protocol": (NETPOL.format("{podSelector: {}, ingress: [{ports: [{protocol: TCPX}]}]}"), "protocol"),
    "dry run": (MESH.format("{podSelector: {}, mode: DryRun, ingress: [{action: Allow}]}"), "not supported yet"),
    "services": (MESH.format("{podSelector: {}, egress: [{action: Allow, services: [t/a]}]}"), "services"),
    "grpc": (MESH.format("{podSelector: {}, ingress: [{action: Allow, http: [{grpc: [{service: a}]}]}]}"), "grpc"),
    "bad regex": (
        MESH.format("{podSelector: {}, ingress: [{action: Allow, http: [{paths: [{regex: '('}]}]}]}"),
        "regex",
    ),
    "unknown action": (MESH.format("{podSelector: {}, ingress: [{action: Perhaps}]}"), "action"),
    "no such namespace": (NETPOL.format("{podSelector: {}}").replace("namespace: t", "namespace: nowhere"), "nowhere"),
    "not yaml": ("a: [", "yaml"),
    "unknown kind": ("apiVersion: v1\nkind: Cake\nmetadata: {name: x}\n", "Cake"),
    "bomb": (
        "a: &a [x,x,x,x,x,x,x,x,x]\n"
        + "".join(f"{chr(98 + i)}: &{chr(98 + i)} [{','.join(['*' + chr(97 + i)] * 9)}]\n" for i in range(9)),
        "alias",
    ),
}


@pytest.mark.parametrize("case", BAD)
def test_refused_with_reason(mesh: Cluster, case: str, tmp_path: Path) -> None:
    text, word = BAD[case]
    path = tmp_path / "bad.yaml"
    path.write_text(text)

    def revision() -> int:
        return int(mesh.json("status")["controller"]["revision"])

    def changed() -> int:
        before = revision()
        refused = mesh.weft("apply", "-f", str(path), expect=4)
        assert "bad.yaml" in refused.err
        assert word.lower() in refused.err.lower()
        return revision() - before

    # the lab writes objects too, once after each of its pods' changes
    eventually(changed, lambda by: by == 0)


def test_one_bad_object_refuses_all(mesh: Cluster, tmp_path: Path) -> None:
    path = tmp_path / "two.yaml"
    path.write_text(
        "apiVersion: v1\nkind: ServiceAccount\nmetadata: {name: fine, namespace: t}\n---\n"
        + BAD["port out of range"][0]
    )
    mesh.weft("apply", "-f", str(path), expect=4)
    mesh.weft("get", "serviceaccount", "fine", "-n", "t", expect=1)


def test_a_policy_that_selects_nothing_is_taken_with_a_warning(mesh: Cluster) -> None:
    done = mesh.weft("apply", "-f", "-", stdin=NETPOL.format("{podSelector: {matchLabels: {app: nobody}}}"))
    try:
        assert "selects no" in (done.err + done.out).lower()
    finally:
        mesh.delete("networkpolicy", "t/bad")
