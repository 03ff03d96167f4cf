"""Log lines."""

from __future__ import annotations

import logging
import os
import re

import pytest

from mesh.journal import line, start


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
        logging.getLogger("other").info('node %s said "no"', "n1")
    finally:
        root.handlers[:] = handlers
        root.setLevel(level)
    told = capsys.readouterr().err
    assert 'part=part msg="one" n=1' in told
    assert re.fullmatch(rf"\d{{4}}-\d\d-\d\dT[\d:.]+Z level=warning pid={os.getpid()} .*", told.splitlines()[0])
    assert told.splitlines()[1].endswith("""part=other msg="node n1 said 'no'\"""")
    assert "unseen" not in told
