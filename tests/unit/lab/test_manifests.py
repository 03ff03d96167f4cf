"""What `lab up` reads, and what it adds."""

from __future__ import annotations

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from lab.manifests import CannotRead, additions, read
from mesh.objects import documents
from mesh.objects.documents import MAX_BYTES


def test_directories_are_read_in_order_and_no_file_twice(tmp_path: Path) -> None:
    (tmp_path / "sub").mkdir()
    for name in ("b.yaml", "a.yml", "sub/c.json", "notes.txt"):
        (tmp_path / name).write_text(name, encoding="utf-8")
    found = read([str(tmp_path / "b.yaml"), str(tmp_path)])
    assert [text for _, text in found] == ["b.yaml", "a.yml", "sub/c.json"]


@pytest.mark.parametrize("content", [None, b"\xff\xfe\x00"])
def test_what_cannot_be_read_is_named(tmp_path: Path, content: bytes | None) -> None:
    path = tmp_path / "x.yaml"
    if content is not None:
        path.write_bytes(content)
    with pytest.raises(CannotRead, match=r"x\.yaml"):
        read([str(path)])


@pytest.mark.parametrize(
    ("given", "says"), [(b"kind: \xff", "<stdin>: byte 6: not UTF-8"), (b"#" * (MAX_BYTES + 1), "<stdin>: larger than")]
)
def test_what_cannot_be_read_from_standard_input_is_said(
    monkeypatch: pytest.MonkeyPatch, given: bytes, says: str
) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(given)))
    with pytest.raises(CannotRead, match=says):
        read(["-"])


def test_standard_input_is_a_manifest(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\ufeffkind: Pod".encode())))
    assert read(["-"]) == [("<stdin>", "kind: Pod")]


def test_an_empty_directory_is_refused(tmp_path: Path) -> None:
    with pytest.raises(CannotRead, match="holds no"):
        read([str(tmp_path)])


def test_namespaces_a_node_and_cluster_dns_are_added_where_they_are_missing(tmp_path: Path) -> None:
    ((file, text),) = additions([("Pod", "shop/a")], tmp_path / "zone.json")
    added = documents.parse(text, file)
    assert {(item.kind, item.key) for item in added} == {
        ("Namespace", "default"),
        ("Namespace", "kube-system"),
        ("Node", "node-1"),
        ("Service", "kube-system/kube-dns"),
        ("Deployment", "kube-system/kube-dns"),
    }


def test_what_the_manifests_bring_is_left_to_them(tmp_path: Path) -> None:
    spaces = [("Namespace", "default"), ("Namespace", "kube-system")]
    given = [*spaces, ("Node", "n1"), ("Service", "kube-system/kube-dns")]
    assert additions(given, tmp_path) == []
