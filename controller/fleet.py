"""The agents: who is connected, what each holds and says, and the questions that are on their way to them.

No gRPC here: `controller.server_mesh` moves messages between a stream and its `Link`. There is one live link per node.
"""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Callable
from dataclasses import dataclass, field

from controller.errors import ControllerError
from controller.session import NodeSession
from controller.telemetry import Telemetry
from mesh.model import Revision
from mesh.snapshot import NodeSnapshot

COMMAND_LIMIT = 64
"""Questions to one node at a time."""


class CommandFailed(ControllerError):
    """A node gave no answer, or said why it has none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What an agent says of itself."""

    enforced: Revision = Revision(0)
    state: str = ""
    warnings: tuple[str, ...] = ()
    endpoints: int = 0
    endpoints_enforced: int = 0
    proxy_workers: int = 0


@dataclass(frozen=True, slots=True)
class Question:
    """One command on its way to a node."""

    id: int
    name: str
    arguments: str


@dataclass(slots=True)
class Link:
    """One live stream of an agent."""

    node: str
    key_hash: str
    features: tuple[str, ...]
    session: NodeSession
    heard_at: float
    report: Report = field(default_factory=Report)
    wake: asyncio.Event = field(default_factory=asyncio.Event)
    closing: str = ""
    """Why the stream has to end; empty while it lives."""
    stopping: bool = False
    """It ends because this controller does, not because of anything that the node did."""
    questions: list[Question] = field(default_factory=list)
    """Not yet sent."""
    pending: dict[int, asyncio.Future[str]] = field(default_factory=dict)

    def close(self, reason: str) -> None:
        self.closing = self.closing or reason
        self.wake.set()

    def answer(self, number: int, json: str, error: str) -> None:
        """The node's answer to a question; answers that nobody waits for any more are dropped."""
        future = self.pending.pop(number, None)
        if future is None or future.done():
            return
        if error:
            future.set_exception(CommandFailed(error))
        else:
            future.set_result(json)


class Fleet:
    """All links, and what is remembered of nodes that are away."""

    def __init__(self, telemetry: Telemetry, clock: Callable[[], float]) -> None:
        self._telemetry = telemetry
        self._clock = clock
        self.links: dict[str, Link] = {}
        self._held: dict[str, NodeSnapshot] = {}
        """What a node acknowledged last in this controller's life: it may come back and go on from there."""
        self._last_seen: dict[str, float] = {}
        self._numbers = itertools.count(1)

    def connect(self, node: str, key_hash: str, features: tuple[str, ...], revision: int) -> Link | str:
        """The link of a new stream, or why there is none."""
        other = self.links.get(node)
        if other is not None:
            if other.key_hash != key_hash:
                return f"node {node} is connected with another key; `weft delete node {node}` frees the name"
            # The same node came back before its old stream was seen to end.
            other.close("the node has opened a new stream")
            self.disconnect(other)
        held = self._held.get(node)
        if held is not None and held.revision != revision:
            held = None
        now = self._clock()
        link = Link(node, key_hash, features, NodeSession(held), now)
        self.links[node] = link
        return link

    def disconnect(self, link: Link) -> None:
        """The stream has ended."""
        if link.session.held is not None:
            self._held[link.node] = link.session.held
        self._last_seen[link.node] = link.heard_at
        if self.links.get(link.node) is link:
            del self.links[link.node]
        for future in link.pending.values():
            if not future.done():
                future.set_exception(CommandFailed(f"node {link.node} went away before it answered"))
        link.pending.clear()

    def forget(self, node: str) -> None:
        """The node was deleted: its stream ends, and nothing is remembered of it."""
        link = self.links.get(node)
        if link is not None:
            link.close(f"node {node} was deleted; join again with a token")
            self.disconnect(link)
        self._held.pop(node, None)
        self._last_seen.pop(node, None)

    def acked(self, node: str) -> Revision:
        link = self.links.get(node)
        if link is not None:
            return link.session.acked
        held = self._held.get(node)
        return held.revision if held is not None else Revision(0)

    def age_s(self, node: str) -> float | None:
        """Seconds since the node was heard last; None: not since this controller started."""
        link = self.links.get(node)
        heard = link.heard_at if link is not None else self._last_seen.get(node)
        return None if heard is None else max(0.0, self._clock() - heard)

    def wake_all(self) -> None:
        """There is a new view."""
        for link in self.links.values():
            link.wake.set()

    def stop(self) -> None:
        """This controller stops: every stream ends, and its agent looks for the next."""
        for link in self.links.values():
            link.stopping = True
            link.close("the controller is stopping")

    async def ask(self, node: str, name: str, arguments: str, timeout_s: float) -> str:
        """Put a question to a node; its answer is a JSON document. Raises CommandFailed."""
        link = self.links.get(node)
        if link is None:
            raise CommandFailed(f"node {node} is not connected; `weft status` says since when")
        if len(link.pending) >= COMMAND_LIMIT:
            raise CommandFailed(f"node {node} has {COMMAND_LIMIT} questions waiting already; try again")
        number = next(self._numbers)
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        link.pending[number] = future
        link.questions.append(Question(number, name, arguments))
        link.wake.set()
        try:
            async with asyncio.timeout(timeout_s):
                return await future
        except TimeoutError:
            raise CommandFailed(f"node {node} gave no answer to {name} within {timeout_s:g} s") from None
        finally:
            link.pending.pop(number, None)
            link.questions = [question for question in link.questions if question.id != number]
