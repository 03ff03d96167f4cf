"""Colours and widths only on a terminal."""

from __future__ import annotations

import sys

import pytest

from cli import terminal


def test_a_pipe_is_plain_and_never_cut() -> None:
    assert terminal.colour() is False
    assert terminal.width() is None


def test_a_terminal_has_colours_unless_it_asks_for_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("TERM", "xterm")
    assert terminal.colour() is True
    assert terminal.width() == 80
    monkeypatch.setenv("NO_COLOR", "1")
    assert terminal.colour() is False


def test_hints_do_not_mix_with_answers(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.say("answer")
    terminal.hint("hint")
    assert capsys.readouterr() == ("answer\n", "hint\n")
