"""Frames and descriptors over one connection."""

from __future__ import annotations

import asyncio
import os
import socket

import pytest

from agent.channel import Channel, ChannelClosed


def test_frames_arrive_whole_and_descriptors_with_them() -> None:
    async def story() -> None:
        left, right = socket.socketpair()
        one, other = Channel(left), Channel(right)
        read, write = os.pipe()
        big = b"x" * 3_000_000
        sending = asyncio.ensure_future(one.send(big, [write]))
        assert await other.receive() == big
        await sending
        (copy,) = other.take_descriptors()
        os.write(copy, b"!")
        assert os.read(read, 1) == b"!"
        await asyncio.gather(one.send(b"a"), one.send(b"b"))
        assert {await other.receive(), await other.receive()} == {b"a", b"b"}
        for descriptor in (read, write, copy):
            os.close(descriptor)
        one.close()
        with pytest.raises(ChannelClosed, match="has closed"):
            await other.receive()
        other.close()

    asyncio.run(story())


def test_abort_wakes_a_reader() -> None:
    async def story() -> None:
        left, right = socket.socketpair()
        channel = Channel(left)
        reading = asyncio.ensure_future(channel.receive())
        await asyncio.sleep(0)
        channel.abort()
        with pytest.raises(ChannelClosed):
            await reading
        channel.close()
        right.close()

    asyncio.run(story())


def test_a_frame_beyond_the_limit_ends_the_conversation() -> None:
    async def story() -> None:
        left, right = socket.socketpair()
        channel = Channel(left)
        right.send(b"\xff\xff\xff\xff")
        with pytest.raises(ChannelClosed, match="limit"):
            await channel.receive()
        channel.close()
        right.close()

    asyncio.run(story())
