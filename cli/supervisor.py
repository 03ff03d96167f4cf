"""The lab's supervisor over its socket: one JSON object a line, a question and then its answer.

An answer is `{"result": ...}` or `{"error": "sentence"}`. To one who follows a log it is followed by `{"line": "..."}`
for each line that comes, until the reader leaves.
"""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator

from cli import sockets
from cli.document import Json, dig
from cli.errors import Problem, Refused, Unreachable
from cli.target import Target

ANSWER_WITHIN_S = 120.0
"""A graceful restart drains first."""
GLANCE_S = 10.0
"""For a question that needs no work."""
LARGEST_ANSWER_BYTES = 64 * 1024 * 1024


def call(target: Target, question: Json, *, within_s: float = ANSWER_WITHIN_S) -> object:
    """The result of one question. Refused carries the supervisor's own sentence."""
    with sockets.connect(target.supervisor_socket, component="supervisor", target=target) as link:
        link.settimeout(within_s)
        return dig(next(_answers(link, question, target, within_s)), "result")


def log_lines(target: Target, question: Json) -> Iterator[str]:
    """The lines that there are, then, where the question asks for it, those that come."""
    with sockets.connect(target.supervisor_socket, component="supervisor", target=target) as link:
        link.settimeout(None)
        for answer in _answers(link, question, target):
            line = dig(answer, "line")
            present = dig(answer, "result")
            if line is not None:
                yield str(line)
            elif isinstance(present, list):
                yield from map(str, present)


def _answers(
    link: socket.socket, question: Json, target: Target, within_s: float = ANSWER_WITHIN_S
) -> Iterator[object]:
    """Every answer until the supervisor hangs up; at least one."""
    where = f"the supervisor{target.whose}"
    answered = False
    try:
        link.sendall(json.dumps(question).encode() + b"\n")
        with link.makefile("rb") as lines:
            while line := lines.readline(LARGEST_ANSWER_BYTES):
                answered = True
                answer = json.loads(line)
                error = dig(answer, "error")
                if error is not None:
                    raise Refused([Problem(reason=str(error))])
                yield answer
                if not question.get("follow"):
                    return
    except TimeoutError as error:
        raise Unreachable(f"{where} did not answer within {within_s:g} s") from error
    except OSError as error:
        raise Unreachable(f"{where} went away: {error.strerror or error}") from error
    except ValueError as error:
        raise Unreachable(f"{where} sent something that is not JSON: {error}") from error
    if not answered:
        raise Unreachable(f"{where} closed the connection without an answer")
