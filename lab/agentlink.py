"""Calls on an agent's unix socket: one JSON line there, one back. Used to announce pods and to ask for its state."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

_LARGEST_LINE = 16 * 1024 * 1024


class AgentAway(RuntimeError):
    """Nobody answers on the socket (yet)."""


class AgentRefused(RuntimeError):
    """The agent answered with an error."""


async def call(socket: Path, name: str, *, timeout_s: float, **arguments: object) -> Any:
    """The `result` of one call."""
    try:
        async with asyncio.timeout(timeout_s):
            reader, writer = await asyncio.open_unix_connection(str(socket), limit=_LARGEST_LINE)
            try:
                writer.write(json.dumps({"call": name, **arguments}).encode() + b"\n")
                await writer.drain()
                line = await reader.readline()
            finally:
                writer.close()
    except (OSError, ValueError, TimeoutError) as error:
        raise AgentAway(f"{socket}: {error or 'no answer'}") from error
    try:
        answer = json.loads(line)
    except ValueError:
        raise AgentAway(f"{socket}: closed without an answer") from None
    if "error" in answer:
        raise AgentRefused(str(answer["error"]))
    return answer.get("result")
