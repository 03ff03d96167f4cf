"""The supervisor's protocol, against a socket that speaks it."""

from __future__ import annotations

import json
import socket
import tempfile
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from cli import supervisor
from cli import target as targets
from cli.errors import Refused, Unreachable
from cli.target import of_lab


class Supervisor:
    """Answers every connection with the same lines."""

    def __init__(self, path: Path) -> None:
        self.answers: list[bytes] = []
        self.asked: list[object] = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.listener.bind(str(path))
        self.listener.listen(4)
        self.thread = threading.Thread(target=self._serve)
        self.thread.start()

    def _serve(self) -> None:
        while True:
            try:
                link, _ = self.listener.accept()
            except OSError:
                return
            with link, link.makefile("rb") as lines:
                line = lines.readline()
                if line:
                    self.asked.append(json.loads(line))
                    link.sendall(b"".join(self.answers))

    def close(self) -> None:
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join()


@pytest.fixture
def fake(monkeypatch: pytest.MonkeyPatch) -> Iterator[Supervisor]:
    with tempfile.TemporaryDirectory(prefix="weft-sup-") as scratch:
        monkeypatch.setattr(targets, "LABS", Path(scratch))
        (Path(scratch) / "default").mkdir()
        it = Supervisor(Path(scratch) / "default" / "supervisor.sock")
        yield it
        it.close()


def test_a_question_and_its_result(fake: Supervisor) -> None:
    fake.answers = [b'{"result": {"pods": []}}\n']
    assert supervisor.call(of_lab("default"), {"call": "status"}) == {"pods": []}
    assert fake.asked == [{"call": "status"}]


def test_an_error_is_a_refusal_in_its_own_words(fake: Supervisor) -> None:
    fake.answers = [b'{"error": "there is no node n9"}\n']
    with pytest.raises(Refused, match="there is no node n9"):
        supervisor.call(of_lab("default"), {"call": "kill"})


def test_a_log_is_what_there_is_and_what_comes(fake: Supervisor) -> None:
    fake.answers = [b'{"result": ["a", "b"]}\n', b'{"line": "c"}\n']
    assert list(supervisor.log_lines(of_lab("default"), {"call": "logs", "follow": True})) == ["a", "b", "c"]
    assert list(supervisor.log_lines(of_lab("default"), {"call": "logs"})) == ["a", "b"]


@pytest.mark.parametrize(("answer", "said"), [(b"", "without an answer"), (b"hello\n", "not JSON")])
def test_silence_and_noise_are_told_apart(fake: Supervisor, answer: bytes, said: str) -> None:
    fake.answers = [answer]
    with pytest.raises(Unreachable, match=said):
        supervisor.call(of_lab("default"), {"call": "status"})


def test_no_lab_is_unreachable(fake: Supervisor) -> None:
    with pytest.raises(Unreachable, match="the lab is not running"):
        supervisor.call(of_lab("other"), {"call": "status"})
