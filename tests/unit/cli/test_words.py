"""Groups, help and near misses."""

from __future__ import annotations

import fcntl
import os
import struct
import subprocess
import sys
import termios
from contextlib import suppress

import click
import pytest
from click.testing import CliRunner

from cli.__main__ import Weft
from cli.__main__ import weft as group
from cli.words import examples
from tests.unit.cli.conftest import Weft as Run


def commands(command: click.Command, words: tuple[str, ...] = ()) -> list[tuple[str, ...]]:
    """Every path of words, groups included."""
    found = [words]
    if isinstance(command, click.Group):
        context = click.Context(command)
        for word in command.list_commands(context):
            inner = command.get_command(context, word)
            assert inner is not None, word
            found += commands(inner, (*words, word))
    return found


ALL = commands(group)


def test_every_word_stands_under_a_heading_and_has_a_module() -> None:
    assert {word for words in Weft.sections.values() for word in words} == set(Weft.modules)


def test_the_version_is_one_flag_away(weft_alone: Run) -> None:
    assert weft_alone("--version").output == "weft 0.1.0\n"


@pytest.mark.parametrize("words", ALL, ids=" ".join)
def test_every_help_teaches_by_example_and_fits(words: tuple[str, ...]) -> None:
    # click leaves two columns of a terminal free
    done = CliRunner().invoke(group, [*words, "--help"], prog_name="weft", terminal_width=78)
    assert done.exit_code == 0
    assert "Examples:\n    " in done.output
    assert "Usage: weft" in done.output
    _usage, *others = done.output.splitlines()
    wide = [line for line in others if len(line) > 80 or line.endswith("...")]
    assert wide == [], "cut or wrapped on a terminal of 80 columns"


def test_the_commands_of_the_interface_are_there() -> None:
    present = {" ".join(words) for words in ALL}
    assert {
        "lab up",
        "lab down",
        "lab status",
        "lab exec",
        "lab logs",
        "lab restart",
        "lab kill",
        "apply",
        "delete",
        "get",
        "describe",
        "status",
        "policy show",
        "policy check",
        "observe",
        "endpoint list",
        "identity list",
        "service list",
        "node list",
        "doctor",
        "map dump",
        "conntrack list",
        "uninstall",
        "completion",
        "version",
    } <= present


def test_a_near_miss_is_named(weft_alone: Run) -> None:
    done = weft_alone("polcy")
    assert done.exit_code == 2
    assert "did you mean 'policy'" in done.output


def test_help_imports_neither_grpc_nor_yaml() -> None:
    program = (
        "import sys\nfrom cli.__main__ import main\n"
        "try:\n    main(['--help'])\nexcept SystemExit:\n    pass\n"
        "print([name for name in ('grpc', 'yaml', 'rich', 'google.protobuf') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


def on_a_terminal(columns: int, *arguments: str) -> list[str]:
    """Lines that the command writes to a real one."""
    ours, theirs = os.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
    environment = {name: value for name, value in os.environ.items() if name != "COLUMNS"}
    written = b""
    with subprocess.Popen([sys.executable, "-m", "cli", *arguments], stdout=theirs, stderr=theirs, env=environment):
        os.close(theirs)
        with suppress(OSError):  # how a terminal says that nobody writes any more
            while piece := os.read(ours, 65536):
                written += piece
    os.close(ours)
    return written.decode().splitlines()


def test_errors_are_broken_between_words_on_a_terminal() -> None:
    assert on_a_terminal(60, "get", "pods", "-o", "nonsense")[-3:] == [
        "Error: Invalid value for '-o' / '--output': 'nonsense' is",
        "  not one of 'table', 'wide', 'name', 'json', 'yaml',",
        "  'jsonl'.",
    ]
    assert on_a_terminal(60, "--controller", "unix:/nobody/here", "status") == [
        "weft: cannot reach the controller at /nobody/here: no such",
        "  socket; is the controller running with --admin-socket",
        "  /nobody/here?",
    ]


def test_examples_keep_their_lines() -> None:
    assert examples("a", "b") == "\b\nExamples:\n  a\n  b"
