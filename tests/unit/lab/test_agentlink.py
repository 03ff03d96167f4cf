"""Calls to an agent."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from lab.agentlink import AgentAway, AgentRefused, call


def against(tmp_path: Path, answer: bytes, ask: Callable[[Path], Awaitable[Any]]) -> tuple[Any, list[bytes]]:
    heard: list[bytes] = []

    async def converse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        heard.append(await reader.readline())
        writer.write(answer)
        writer.close()

    async def run() -> Any:
        async with await asyncio.start_unix_server(converse, str(tmp_path / "s")):
            return await ask(tmp_path / "s")

    return asyncio.run(run()), heard


def test_a_call_is_one_line_there_and_one_back(tmp_path: Path) -> None:
    result, heard = against(
        tmp_path, b'{"result": {"a": 1}}\n', lambda path: call(path, "endpoint.add", timeout_s=60, pod="x")
    )
    assert result == {"a": 1}
    assert json.loads(heard[0]) == {"call": "endpoint.add", "pod": "x"}


def test_an_error_is_told_in_the_agent_s_words(tmp_path: Path) -> None:
    with pytest.raises(AgentRefused, match="no such netns"):
        against(tmp_path, b'{"error": "no such netns"}\n', lambda path: call(path, "x", timeout_s=60))


@pytest.mark.parametrize("answer", [b"", b"{"])
def test_silence_and_garbage_mean_that_it_is_away(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(AgentAway):
        against(tmp_path, answer, lambda path: call(path, "x", timeout_s=60))


def test_nobody_there(tmp_path: Path) -> None:
    with pytest.raises(AgentAway):
        asyncio.run(call(tmp_path / "s", "x", timeout_s=60))
