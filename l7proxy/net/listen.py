"""Accepting on the listening sockets the agent made: a bounded number per turn, a pause when descriptors run out."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable

ACCEPTS_PER_TURN = 64
PAUSE_S = 0.5

_GONE_BEFORE_ACCEPT = (errno.ECONNABORTED, errno.EPROTO, errno.EPERM, errno.EINTR)
_NO_RESOURCES = (errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM)


class Listeners:
    """The sockets in use. `accepted` is called for each connection, `exhausted` when there are no descriptors left."""

    def __init__(self, accepted: Callable[[socket.socket], None], exhausted: Callable[[], None]) -> None:
        self._accepted = accepted
        self._exhausted = exhausted
        self._sockets: list[socket.socket] = []
        self._reading = False
        self._wanted = False
        self._later: asyncio.TimerHandle | None = None

    @property
    def descriptors(self) -> list[int]:
        return [one.fileno() for one in self._sockets]

    @property
    def names(self) -> set[tuple[str, int]]:
        """Their own addresses: a connection that was meant for these was not redirected."""
        return {one.getsockname()[:2] for one in self._sockets}

    def adopt(self, sockets: list[socket.socket]) -> None:
        """Use these from now on. After a restart the agent may bring the same ones again, or new ones."""
        resume = self._wanted
        self.stop()
        for one in self._sockets:
            one.close()
        self._sockets = sockets
        for one in sockets:
            one.setblocking(False)
        if resume:
            self.start()

    def start(self) -> None:
        self._wanted = True
        if not self._reading:
            self._reading = True
            for one in self._sockets:
                asyncio.get_running_loop().add_reader(one.fileno(), self._on_ready, one)

    def stop(self) -> None:
        self._wanted = False
        self._pause()
        if self._later is not None:
            self._later.cancel()
            self._later = None

    def close(self) -> None:
        self.stop()
        for one in self._sockets:
            one.close()
        self._sockets = []

    def _pause(self) -> None:
        if self._reading:
            self._reading = False
            for one in self._sockets:
                asyncio.get_running_loop().remove_reader(one.fileno())

    def _resume(self) -> None:
        self._later = None
        if self._wanted:
            self.start()

    def _on_ready(self, listening: socket.socket) -> None:
        for _ in range(ACCEPTS_PER_TURN):
            try:
                made, _ = listening.accept()
            except BlockingIOError:
                return
            except OSError as problem:
                if problem.errno in _GONE_BEFORE_ACCEPT:
                    continue
                if problem.errno not in _NO_RESOURCES:
                    raise
                # The queue stays full and the loop would spin: leave it for a moment.
                self._exhausted()
                self._pause()
                self._later = asyncio.get_running_loop().call_later(PAUSE_S, self._resume)
                return
            self._accepted(made)
