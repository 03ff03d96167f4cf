"""The stand-in for a kernel tree has what bcc asks for."""

from __future__ import annotations

from pathlib import Path

import pytest

from agent.datapath import stubheaders


@pytest.fixture
def headers(tmp_path: Path) -> Path:
    folder = tmp_path / "usr"
    for name in ("linux", "asm-generic", "x86_64-linux-gnu/asm"):
        (folder / name).mkdir(parents=True)
    (folder / "linux" / "bpf.h").write_text("")
    return folder


def test_the_cache_is_filled_once_and_nothing_lies_beside_it(tmp_path: Path, headers: Path) -> None:
    cache = tmp_path / "cache"
    first = stubheaders.cached(cache, headers)
    (first / "mine").write_text("")
    assert stubheaders.cached(cache, headers) == first
    assert (first / "mine").exists()
    assert list(cache.iterdir()) == [first]


def test_the_tree_is_made_anew(tmp_path: Path, headers: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / "left-over").write_text("")
    stubheaders.build(tree, headers)
    assert "typedef __u8 u8" in (tree / "include/linux/kconfig.h").read_text()
    assert (tree / "include/uapi/linux").resolve() == headers / "linux"
    assert (tree / "include/uapi/asm").resolve() == headers / "x86_64-linux-gnu/asm"
    assert not (tree / "left-over").exists()


def test_missing_headers_say_what_to_install(tmp_path: Path) -> None:
    with pytest.raises(stubheaders.HeadersMissing, match="linux-libc-dev"):
        stubheaders.build(tmp_path / "tree", tmp_path)
