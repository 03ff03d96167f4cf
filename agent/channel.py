"""One connection of the proxy link: frames both ways, descriptors with the first byte of a frame (SCM_RIGHTS).

Thin: it knows bytes and descriptors, not what the messages mean. asyncio's streams cannot carry descriptors, so reads
and writes wait for readiness and call recvmsg and sendmsg themselves.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

from agent.errors import AgentError
from agent.listeners import close_all
from mesh.api.frames import FrameReader, FrameTooLong, pack

READ_BYTES = 1 << 18
MOST_DESCRIPTORS = 8


class ChannelClosed(AgentError):
    """The peer has gone, or sent what is no frame."""


class Channel:
    def __init__(self, connection: socket.socket) -> None:
        connection.setblocking(False)
        self._socket = connection
        self._reader = FrameReader()
        self._ready: list[bytes] = []
        self._descriptors: list[int] = []
        self._sending = asyncio.Lock()

    async def receive(self) -> bytes:
        """The next message. ChannelClosed at the end."""
        while not self._ready:
            await self._until(readable=True)
            try:
                data, descriptors, _, _ = socket.recv_fds(self._socket, READ_BYTES, MOST_DESCRIPTORS)
            except BlockingIOError:
                continue
            except OSError as error:
                raise ChannelClosed(f"reading failed: {error.strerror}") from error
            self._descriptors.extend(descriptors)
            if len(self._descriptors) > MOST_DESCRIPTORS:
                raise ChannelClosed("more descriptors than any message carries")
            if not data:
                raise ChannelClosed("the other side has closed")
            try:
                self._ready.extend(self._reader.feed(data))
            except FrameTooLong as error:
                raise ChannelClosed(str(error)) from error
        return self._ready.pop(0)

    def take_descriptors(self) -> list[int]:
        """Those that have come so far; the caller owns them."""
        taken, self._descriptors = self._descriptors, []
        return taken

    async def send(self, message: bytes, descriptors: list[int] | None = None) -> None:
        """One whole frame; frames of concurrent senders do not mix."""
        data = memoryview(pack(message))
        async with self._sending:
            while data:
                try:
                    if descriptors:
                        sent = socket.send_fds(self._socket, [data], descriptors)
                        descriptors = None
                    else:
                        sent = self._socket.send(data)
                except BlockingIOError:
                    await self._until(readable=False)
                    continue
                except OSError as error:
                    raise ChannelClosed(f"writing failed: {error.strerror}") from error
                data = data[sent:]

    def abort(self) -> None:
        """Make whoever reads or writes here see the end; they close it."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)

    def close(self) -> None:
        close_all(self.take_descriptors())
        self._socket.close()

    async def _until(self, *, readable: bool) -> None:
        loop = asyncio.get_running_loop()
        turn: asyncio.Future[None] = loop.create_future()
        descriptor = self._socket.fileno()
        if descriptor < 0:
            raise ChannelClosed("this side has closed")
        add, remove = (loop.add_reader, loop.remove_reader) if readable else (loop.add_writer, loop.remove_writer)
        add(descriptor, lambda: None if turn.done() else turn.set_result(None))
        try:
            await turn
        finally:
            remove(descriptor)
