"""The local API: lines in, lines out."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from agent.errors import AgentError
from agent.local_api import LINE_BYTES, LocalApi, text_of
from tests.support.waiting import until


async def echo(request: Mapping[str, Any]) -> Any:
    return request.get("word")


async def refuse(request: Mapping[str, Any]) -> Any:
    raise AgentError("no such pod")


def api(path: Path) -> LocalApi:
    return LocalApi(path, {"echo": echo, "refuse": refuse})


@pytest.mark.parametrize(
    ("asked", "answer"),
    [
        (b'{"call": "echo", "word": "hi"}', {"result": "hi"}),
        (b'{"call": "refuse"}', {"error": "no such pod"}),
        (b'{"call": "other"}', {"error": "no call 'other'; there are: echo, refuse"}),
        (b"[1]", {"error": 'a request is a JSON object with a "call"'}),
    ],
)
def test_one_answer_for_each_line(tmp_path: Path, asked: bytes, answer: dict[str, Any]) -> None:
    assert json.loads(asyncio.run(api(tmp_path / "s").answer(asked))) == answer


def test_no_json_is_an_answer_too(tmp_path: Path) -> None:
    assert "not JSON" in json.loads(asyncio.run(api(tmp_path / "s").answer(b"{")))["error"]


def test_a_connection_goes_on_after_an_error_and_ends_after_a_line_too_long(tmp_path: Path) -> None:
    async def story() -> list[bytes]:
        path = tmp_path / "agent.sock"
        server = asyncio.ensure_future(api(path).run())
        await until(path.exists)
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(b'{"call": "refuse"}\n{"call": "echo", "word": 1}\n' + b"x" * (LINE_BYTES + 10) + b"\n")
        lines = [await reader.readline() for _ in range(3)]
        with suppress(ConnectionResetError):  # where the end of the line was not read any more
            assert await reader.readline() == b""
        writer.close()
        assert path.stat().st_mode & 0o777 == 0o600
        server.cancel()
        await asyncio.gather(server, return_exceptions=True)
        assert not path.exists()
        return lines

    first, second, third = asyncio.run(story())
    assert json.loads(first) == {"error": "no such pod"}
    assert json.loads(second) == {"result": 1}
    assert "at most" in json.loads(third)["error"]


@pytest.mark.parametrize("value", [None, 3, "", "x" * 20, "a\0b"])
def test_texts_are_checked(value: object) -> None:
    with pytest.raises(AgentError, match="pod: a text"):
        text_of({"pod": value}, "pod", longest=10)
