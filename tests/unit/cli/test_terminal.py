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


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("a\x1b]0;title\x07b", "a?]0;title?b"),
        ("a\x1b[2Jb", "a?[2Jb"),
        ("\x9b2J\r\x08", "?2J??"),
        ("\x1b[31mred\x1b[0m\tnaïve\nnext", "\x1b[31mred\x1b[0m\tnaïve\nnext"),
    ],
)
def test_other_peoples_text_cannot_drive_the_terminal(
    given: str, shown: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    terminal.say(given)
    terminal.hint(given)
    assert terminal.harmless(given) == shown
    out, err = capsys.readouterr()
    if "\x1b[31m" not in given:
        assert (out, err) == (f"{shown}\n", f"{shown}\n")


def test_an_error_goes_on_below_on_a_terminal_and_is_one_line_elsewhere(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    line = "weft: cannot reach it at /run/weft/labs/default/controller/admin.sock: it is down"
    assert terminal.told(line) == line
    monkeypatch.setattr(sys.stderr, "isatty", lambda: True, raising=False)
    assert terminal.told(line).splitlines() == [
        "weft: cannot reach it at",
        "  /run/weft/labs/default/controller/admin.sock:",
        "  it is down",
    ]
    assert terminal.told("short\n  node a: it is behind the newest of all revisions").splitlines() == [
        "short",
        "  node a: it is behind the newest of all",
        "    revisions",
    ]
