"""agent.sock: how pods are announced and how this node is asked, by root on this machine. One JSON line each way.

Who runs the pods (the lab; there is no CNI plugin yet) calls `endpoint.add`, which answers when the pod's policy is in
force. Lines and connections are bounded; a line that is no request gets an error and the connection goes on.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Any

from agent.datapath.interface import DatapathError
from agent.errors import AgentError
from mesh.journal import line

log = logging.getLogger("local")

LINE_BYTES = 65536
MOST_CONNECTIONS = 128

Call = Callable[[Mapping[str, Any]], Awaitable[Any]]


class LocalApi:
    def __init__(self, path: Path, calls: Mapping[str, Call]) -> None:
        self._path = path
        self._calls = calls
        self._connections = 0

    async def run(self) -> None:
        """Serve until cancelled; the socket's file goes with it."""
        staging = self._path.with_name(self._path.name + ".new")
        staging.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(staging))
            os.chmod(staging, 0o600)
            listener.listen(64)
            # Renamed into place: whoever sees the file can connect.
            os.replace(staging, self._path)
        except OSError as error:
            listener.close()
            raise AgentError(f"cannot listen on {self._path}: {error.strerror}") from error
        server = await asyncio.start_unix_server(self._serve, sock=listener, limit=LINE_BYTES)
        try:
            await server.serve_forever()
        finally:
            server.close()
            self._path.unlink(missing_ok=True)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._connections += 1
        try:
            if self._connections > MOST_CONNECTIONS:
                writer.write(_answer(error=f"more than {MOST_CONNECTIONS} callers at a time"))
                return
            while True:
                try:
                    asked = await reader.readline()
                except ValueError:
                    writer.write(_answer(error=f"a request is one line of at most {LINE_BYTES} bytes"))
                    return
                if not asked:
                    return
                writer.write(await self.answer(asked))
                await writer.drain()
        except ConnectionError:
            return
        finally:
            self._connections -= 1
            writer.close()

    async def answer(self, asked: bytes) -> bytes:
        """The answer to one line, as one line."""
        try:
            request = json.loads(asked)
            if not isinstance(request, dict) or not isinstance(request.get("call"), str):
                return _answer(error='a request is a JSON object with a "call"')
            call = self._calls.get(request["call"])
            if call is None:
                return _answer(error=f"no call {request['call']!r}; there are: {', '.join(sorted(self._calls))}")
            return _answer(result=await call(request))
        except json.JSONDecodeError as error:
            return _answer(error=f"not JSON: {error}")
        except (AgentError, DatapathError) as error:
            log.warning(line("call refused", call=request["call"], why=error))
            return _answer(error=str(error))


def _answer(**document: Any) -> bytes:
    return json.dumps(document).encode() + b"\n"


def text_of(request: Mapping[str, Any], name: str, *, longest: int = 4096) -> str:
    """A required text argument."""
    value = request.get(name)
    if not isinstance(value, str) or not value or len(value) > longest or "\0" in value:
        raise AgentError(f"{name}: a text of 1 to {longest} characters is needed")
    return value
