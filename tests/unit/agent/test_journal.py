"""Log lines."""

from __future__ import annotations

import logging

import pytest

from agent.journal import line, start


def test_values_with_spaces_are_quoted() -> None:
    assert line("pod attached", pod="shop/a", why='it "came"') == 'msg="pod attached" pod=shop/a why="it \'came\'"'


def test_a_line_stays_one_line() -> None:
    assert "\n" not in line("x", why="one\ntwo")
    assert line("x", empty="").endswith('empty=""')


def test_records_carry_level_and_part(capsys: pytest.CaptureFixture[str]) -> None:
    root = logging.getLogger()
    handlers, level = root.handlers[:], root.level
    try:
        start("info")
        logging.getLogger("part").warning(line("one", n=1))
        logging.getLogger("part").debug("unseen")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    told = capsys.readouterr().err
    assert 'level=warning part=part msg="one" n=1' in told
    assert "unseen" not in told
