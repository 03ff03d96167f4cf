"""Reading logs."""

from __future__ import annotations

import asyncio
from pathlib import Path

from lab.logtail import LogTail


def test_the_last_lines_of_each_file_say_whose_they_are(tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    one.write_text("a\nb\nc\n", encoding="utf-8")
    two.write_text("x\n", encoding="utf-8")
    assert LogTail([("1", one), ("2", two)]).present(2) == ["1: b", "1: c", "2: x"]
    assert LogTail([("1", one)]).present(None) == ["a", "b", "c"]
    assert LogTail([("1", one)]).present(0) == []
    assert LogTail([("gone", tmp_path / "gone")]).present(None) == []


def test_what_comes_later_is_told_in_whole_lines(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("a\nhal", encoding="utf-8")

    async def run() -> str:
        log = LogTail([("1", path)])
        assert log.present(None) == ["a"]
        with path.open("a", encoding="utf-8") as more:
            more.write("f\n")
        return await anext(log.coming())

    assert asyncio.run(run()) == "half"
