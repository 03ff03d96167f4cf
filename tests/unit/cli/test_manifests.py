"""What -f reads."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path
from types import SimpleNamespace

import click
import pytest

from cli.errors import Refused
from cli.manifests import LARGEST_FILE_BYTES, STDIN, read_all
from mesh.objects.documents import MAX_BYTES


def names(paths: list[str]) -> list[str]:
    return [Path(manifest.file).name for manifest in read_all(paths)]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("b.yaml", "a.yml", "c.json", "notes.txt"):
        (tmp_path / name).write_text(name)
    (tmp_path / "deep").mkdir()
    (tmp_path / "deep" / "d.yaml").write_text("d")
    return tmp_path


def test_a_directory_gives_all_manifests_below_it_by_name(folder: Path) -> None:
    assert names([str(folder)]) == ["a.yml", "b.yaml", "c.json", "d.yaml"]


def test_a_file_named_twice_is_read_once(folder: Path) -> None:
    assert names([str(folder / "b.yaml"), str(folder)]) == ["b.yaml", "a.yml", "c.json", "d.yaml"]


def test_a_file_may_have_any_ending(folder: Path) -> None:
    assert names([str(folder / "notes.txt")]) == ["notes.txt"]


def test_standard_input(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO("\ufeffkind: Pod".encode())))
    assert [(manifest.file, manifest.text) for manifest in read_all(["-"])] == [(STDIN, "kind: Pod")]


def test_a_path_that_is_not_there_is_a_usage_error(tmp_path: Path) -> None:
    with pytest.raises(click.UsageError, match="no such file or directory"):
        read_all([str(tmp_path / "none")])


def test_a_named_pipe_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(click.UsageError, match="pipe: a named pipe; send it to standard input and write -f -"):
        read_all([str(tmp_path / "pipe")])


def test_a_pipe_that_the_shell_opened_is_read() -> None:
    reader, writer = os.pipe()
    try:
        os.write(writer, b"kind: X")
        os.close(writer)
        assert [manifest.text for manifest in read_all([f"/dev/fd/{reader}"])] == ["kind: X"]
    finally:
        os.close(reader)


def test_an_empty_path_is_not_this_directory() -> None:
    with pytest.raises(click.UsageError, match="-f '': an empty path"):
        read_all([""])


def test_a_directory_without_manifests_is_refused(tmp_path: Path) -> None:
    with pytest.raises(Refused, match="holds no .yaml"):
        read_all([str(tmp_path)])


def test_what_is_no_text_is_refused_with_its_place(tmp_path: Path) -> None:
    (tmp_path / "x.yaml").write_bytes(b"kind: \xff")
    with pytest.raises(Refused, match=r"x.yaml: byte 6: not UTF-8 text"):
        read_all([str(tmp_path / "x.yaml")])


def test_a_huge_file_is_refused_before_it_is_read_whole(tmp_path: Path) -> None:
    with (tmp_path / "x.yaml").open("wb") as sparse:
        sparse.truncate(40 * 1024 * 1024)
    with pytest.raises(Refused, match="larger than 8 MiB; split it"):
        read_all([str(tmp_path / "x.yaml")])


def test_the_controller_takes_what_is_read_here() -> None:
    assert LARGEST_FILE_BYTES == MAX_BYTES
