"""The supervisor's unix socket: one JSON object per line there, one back (`{"result": ...}` or `{"error": "..."}`).

Calls: status; restart and kill {component, node}; logs {component, node, tail, follow}; down.
`logs` answers with lines and hangs up; with `follow` it goes on, `{"line": "..."}` for each that comes, until the
reader leaves. Root only (mode 0600, directory 0700).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Coroutine, Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from lab.components import DRAIN_GRACE_S, Component, NotReady
from lab.logtail import LogTail
from lab.names import LabNames
from lab.workload import Workload

_KINDS = ("agent", "proxy", "controller")
_LARGEST_LINE = 1024 * 1024


def _ends_the_talk(line: bytes) -> bool:
    """A log's reader takes all that comes, so it must see the end."""
    return b'"logs"' in line


class BadCall(ValueError):
    """The request makes no sense; the text says why."""


class Supervised(Protocol):
    """What calls may ask of a supervisor."""

    names: LabNames
    components: list[Component]
    workloads: dict[str, Workload]
    stop: asyncio.Event

    def describe_pods(self) -> list[dict[str, Any]]: ...

    def linger(self, work: Coroutine[Any, Any, None], name: str) -> None: ...


class CallServer:
    """Answers for one supervisor."""

    def __init__(self, supervisor: Supervised) -> None:
        self._supervisor = supervisor

    async def serve(self) -> None:
        path = self._supervisor.names.supervisor_socket
        with suppress(FileNotFoundError):
            path.unlink()
        server = await asyncio.start_unix_server(self._converse, str(path), limit=_LARGEST_LINE)
        path.chmod(0o600)
        async with server:
            await asyncio.Event().wait()

    async def _converse(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(OSError):
            try:
                while line := await reader.readline():
                    async for answer in self._answers(line):
                        writer.write(json.dumps(answer).encode() + b"\n")
                        await writer.drain()
                    if _ends_the_talk(line):
                        break
            finally:
                writer.close()

    async def _answers(self, line: bytes) -> AsyncIterator[dict[str, Any]]:
        """One answer; for a log that is followed, lines without end."""
        try:
            request = json.loads(line)
            if not isinstance(request, dict):
                raise BadCall("a request is a JSON object")
            if request.get("call") == "logs":
                log = LogTail(self._logs(str(request.get("component", "")), request.get("node")))
                yield {"result": log.present(request.get("tail"))}
                if request.get("follow"):
                    async for text in log.coming():
                        yield {"line": text}
            else:
                yield {"result": await self._call(request)}
        except (ValueError, NotReady) as error:
            yield {"error": str(error)}

    async def _call(self, request: dict[str, Any]) -> Any:
        supervisor = self._supervisor
        match request.get("call"):
            case "status":
                components = [component.describe() for component in supervisor.components]
                return {"lab": supervisor.names.lab, "components": components, "pods": supervisor.describe_pods()}
            case "restart":
                return [await self._restart(component) for component in self._chosen(request)]
            case "kill":
                return [
                    {"component": component.kind, "node": component.node or None, "pid": component.kill()}
                    for component in self._chosen(request)
                ]
            case "down":
                supervisor.stop.set()
                return {"stopping": True}
            case other:
                raise BadCall(f"unknown call {other!r}: status, restart, kill, logs, down")

    def _chosen(self, request: dict[str, Any]) -> list[Component]:
        kind, node = request.get("component"), request.get("node")
        if kind not in _KINDS:
            raise BadCall(f"unknown component {kind!r}: {', '.join(_KINDS)}")
        of_kind = [component for component in self._supervisor.components if component.kind == kind]
        found = [component for component in of_kind if node is None or component.node == node]
        if not found:
            nodes = ", ".join(component.node for component in of_kind if component.node) or "none"
            raise BadCall(f"no {kind} on node {node!r}; nodes that have one: {nodes}")
        return found

    async def _restart(self, component: Component) -> dict[str, Any]:
        old = await component.restart()
        if old is not None:
            self._supervisor.linger(old.stop(DRAIN_GRACE_S), f"drain of the old {component.title}")
        return component.describe()

    def _logs(self, component: str, node: Any) -> list[tuple[str, Path]]:
        """Files, of every node or of one. `component` may also be access, supervisor or a pod as NS/NAME."""
        names = self._supervisor.names
        if "/" in component:
            workload = self._supervisor.workloads.get(component)
            if workload is None:
                raise BadCall(f"no pod {component} runs here")
            return [(container, Path(path)) for container, path in workload.logs.items()]
        if component in ("controller", "supervisor"):
            return [(component, names.log(component))]
        if component in ("agent", "proxy", "access"):
            return [(name, names.log(f"{component}-{name}")) for name in self._nodes(component, node)]
        raise BadCall(f"unknown component {component!r}: agent, proxy, access, controller, supervisor or NS/POD")

    def _nodes(self, component: str, only: Any) -> Iterable[str]:
        nodes = sorted({component.node for component in self._supervisor.components if component.node})
        if only is None:
            return nodes
        if only not in nodes:
            raise BadCall(f"no {component} on node {only!r}; nodes that have one: {', '.join(nodes) or 'none'}")
        return [only]
