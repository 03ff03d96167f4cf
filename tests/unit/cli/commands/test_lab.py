"""weft lab."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from cli import programs, supervisor
from cli.document import Json
from cli.target import Target
from tests.unit.cli.conftest import Weft

STATUS = {
    "components": [{"component": "agent", "node": "node-1", "pid": 9, "workers": [], "state": "running"}],
    "pods": [{"namespace": "shop", "name": "client", "node": "node-1", "ips": ["10.1.0.2"], "phase": "Running"}],
}


@pytest.fixture
def became(monkeypatch: pytest.MonkeyPatch) -> list[list[str]]:
    """The command lines that this process would have become."""
    seen: list[list[str]] = []

    def become(module: str, arguments: list[str]) -> None:
        seen.append([module, *arguments])

    monkeypatch.setattr(programs, "become", become)
    return seen


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[tuple[str, Json]]:
    """Questions to the supervisor, answered with STATUS."""
    seen: list[tuple[str, Json]] = []

    def call(target: Target, question: Json, **_: float) -> Any:
        seen.append((target.lab_name, question))
        return STATUS

    monkeypatch.setattr(supervisor, "call", call)
    return seen


@pytest.mark.parametrize("how", [("--lab", "green", "lab", "up"), ("lab", "up", "--name", "green")])
def test_up_becomes_the_lab(weft_alone: Weft, became: list[list[str]], how: tuple[str, ...]) -> None:
    assert weft_alone(*how, "/", "/dev/null").exit_code == 0
    assert became == [["lab", "up", "--name", "green", "/", "/dev/null"]]


def test_workers_are_passed_on(weft_alone: Weft, became: list[list[str]]) -> None:
    weft_alone("lab", "up", "--workers", "2", "/dev/null")
    assert became == [["lab", "up", "--name", "default", "--workers", "2", "/dev/null"]]


def test_down(weft_alone: Weft, became: list[list[str]]) -> None:
    weft_alone("lab", "down")
    assert became == [["lab", "down", "--name", "default"]]


@pytest.mark.parametrize(
    ("given", "command"),
    [
        (("shop/a", "--", "curl", "-s", "x"), ["curl", "-s", "x"]),
        (("shop/a", "curl", "-s", "x"), ["curl", "-s", "x"]),
        (("-n", "shop", "a", "--", "sh", "-c", "a  b"), ["sh", "-c", "a  b"]),
        (("shop/a", "--", "--", "x"), ["--", "x"]),
        (("shop/a", "--", "weft", "--lab", "x", "-n", "y"), ["weft", "--lab", "x", "-n", "y"]),
    ],
)
def test_exec_passes_arguments_untouched(
    weft_alone: Weft, became: list[list[str]], given: tuple[str, ...], command: list[str]
) -> None:
    done = weft_alone("lab", "exec", *given)
    assert done.exit_code == 0, done.output
    assert became == [["lab", "exec", "--name", "default", "shop/a", "--", *command]]


@pytest.mark.parametrize("place", ["world", "node:node-1"])
def test_exec_enters_the_places_that_are_no_pods(weft_alone: Weft, became: list[list[str]], place: str) -> None:
    assert weft_alone("lab", "exec", place, "--", "id").exit_code == 0
    assert weft_alone("lab", "exec", "-n", "shop", "world", "--", "id").exit_code == 0
    assert [words[4] for words in became] == [place, "shop/world"]


@pytest.mark.parametrize("given", [(), ("shop/a",), ("shop/a", "--"), ("a/b/c", "--", "x")])
def test_exec_usage(weft_alone: Weft, became: list[list[str]], given: tuple[str, ...]) -> None:
    assert weft_alone("lab", "exec", *given).exit_code == 2
    assert became == []


def test_status(weft_alone: Weft, asked: list[tuple[str, Json]]) -> None:
    assert json.loads(weft_alone("lab", "status", "-o", "json").stdout) == STATUS
    assert weft_alone("lab", "status", "-o", "name").stdout == "shop/client\n"
    assert "agent      node-1  running    9  -" in weft_alone("lab", "status").stdout
    assert asked[0] == ("default", {"call": "status"})


@pytest.mark.parametrize("word", ["restart", "kill"])
def test_restart_and_kill(weft_alone: Weft, asked: list[tuple[str, Json]], word: str) -> None:
    done = weft_alone("lab", word, "agent", "--node", "node-1")
    assert asked == [("default", {"call": word, "component": "agent", "node": "node-1"})]
    assert done.stdout == f"agent on node-1 {word}ed (pid 9)\n"
    weft_alone("lab", word, "proxy")
    assert asked[1][1] == {"call": word, "component": "proxy"}
    assert weft_alone("lab", word, "kubelet").exit_code == 2


def test_logs(weft_alone: Weft, monkeypatch: pytest.MonkeyPatch) -> None:
    seen: list[Json] = []

    def log_lines(target: Target, question: Json) -> Iterator[str]:
        seen.append(question)
        yield from ("one", "two")

    monkeypatch.setattr(supervisor, "log_lines", log_lines)
    assert weft_alone("lab", "logs", "agent", "--node", "node-1", "-f", "--tail", "5").stdout == "one\ntwo\n"
    assert seen == [{"call": "logs", "component": "agent", "node": "node-1", "follow": True, "tail": 5}]
    weft_alone("lab", "logs", "shop/client")
    assert seen[1] == {"call": "logs", "component": "shop/client", "follow": False}


def test_two_names_are_one_too_many(weft_alone: Weft, became: list[list[str]]) -> None:
    assert weft_alone("--lab", "a", "lab", "down", "--name", "b").exit_code == 2
    assert weft_alone("--controller", "unix:/x", "lab", "down").exit_code == 2
    assert became == []


def test_a_path_that_is_not_there_is_usage_as_for_apply(weft_alone: Weft, became: list[list[str]]) -> None:
    done = weft_alone("lab", "up", "/no/such/file.yaml")
    assert (done.exit_code, became) == (2, [])
    assert "/no/such/file.yaml" in done.stderr
