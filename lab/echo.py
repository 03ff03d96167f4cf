"""The server of a pod without a command: `python -m lab.echo tcp:80 udp:53` says who it is and what it saw.

A TCP connection that opens with an HTTP/1.x request gets JSON answers (keep-alive, pipelining, bodies of either
framing). Any other is echoed byte for byte, without a banner, except that the line `whoami` is answered with the
caller's address. UDP is echoed likewise. One process for all ports, few imports: a lab starts dozens of these.
"""

from __future__ import annotations

import asyncio
import json
import os
import re
import signal
import socket
import sys
from contextlib import suppress
from typing import Any, cast

import httptools

_HTTP = re.compile(rb"[A-Z]{3,10} ")
_HTTP_START = re.compile(rb"[A-Z]{0,10}")
_LARGEST_SHOWN_BODY = 4096
_BACKLOG = 1024


class Echo(asyncio.Protocol):
    """One TCP connection. It is HTTP or raw from its first bytes on, and stays so."""

    def __init__(self, whom: dict[str, str]) -> None:
        self._whom = whom
        self._transport: asyncio.Transport | None = None
        self._caller: tuple[str, int] = ("", 0)
        self._local: tuple[str, int] = ("", 0)
        self._undecided = b""
        self._line = b""
        self._http: Any = None
        self._raw = False
        self._request = _Request()

    # -- asyncio ------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport
        self._caller = transport.get_extra_info("peername")[:2]
        self._local = transport.get_extra_info("sockname")[:2]

    def data_received(self, data: bytes) -> None:
        if self._raw:
            self._echo(data)
        elif self._http is not None:
            self._parse(data)
        else:
            self._sniff(self._undecided + data)

    def eof_received(self) -> bool:
        if self._undecided:
            self._raw = True
            self._echo(self._undecided)
        return False

    def pause_writing(self) -> None:
        if self._transport is not None:
            self._transport.pause_reading()

    def resume_writing(self) -> None:
        if self._transport is not None:
            self._transport.resume_reading()

    # -- raw ----------------------------------------------------------------------------------------------------

    def _sniff(self, data: bytes) -> None:
        if _HTTP.match(data):
            self._undecided = b""
            self._http = httptools.HttpRequestParser(self)
            self._parse(data)
        elif _HTTP_START.fullmatch(data):
            self._undecided = data
        else:
            self._undecided = b""
            self._raw = True
            self._echo(data)

    def _echo(self, data: bytes) -> None:
        self._line = (self._line + data)[-64:]
        if data.endswith(b"\n") and self._line.rstrip(b"\r\n").endswith(b"whoami") and len(self._line.strip()) == 6:
            self._write(f"{self._caller[0]} {self._caller[1]}\n".encode())
        else:
            self._write(data)
        if data.endswith(b"\n"):
            self._line = b""

    def _write(self, data: bytes) -> None:
        if self._transport is not None:
            self._transport.write(data)

    # -- HTTP (called by httptools) -----------------------------------------------------------------------------

    def _parse(self, data: bytes) -> None:
        try:
            self._http.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._close()
        except httptools.HttpParserError as error:
            self._answer(400, {"error": str(error)}, keep=False)

    def on_message_begin(self) -> None:
        self._request = _Request()

    def on_url(self, url: bytes) -> None:
        self._request.path += url.decode("latin-1")

    def on_header(self, name: bytes, value: bytes) -> None:
        self._request.headers.append((name.decode("latin-1").lower(), value.decode("latin-1")))

    def on_headers_complete(self) -> None:
        if ("expect", "100-continue") in [(name, value.lower()) for name, value in self._request.headers]:
            self._write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        self._request.body_bytes += len(body)
        if len(self._request.body) < _LARGEST_SHOWN_BODY:
            self._request.body += body

    def on_message_complete(self) -> None:
        request = self._request
        answer: dict[str, Any] = {
            **self._whom,
            "port": self._local[1],
            "ip": self._local[0],
            "caller": {"ip": self._caller[0], "port": self._caller[1]},
            "method": self._http.get_method().decode("latin-1"),
            "path": request.path,
            "headers": dict(request.headers),
            "bodyBytes": request.body_bytes,
        }
        if request.body:
            answer["body"] = request.body[:_LARGEST_SHOWN_BODY].decode("utf-8", "replace")
        self._answer(200, answer, keep=self._http.should_keep_alive(), head=answer["method"] == "HEAD")

    def _answer(self, status: int, answer: dict[str, Any], *, keep: bool, head: bool = False) -> None:
        body = json.dumps(answer).encode() + b"\n"
        reason = {200: "OK", 400: "Bad Request"}[status]
        lines = [f"HTTP/1.1 {status} {reason}", "content-type: application/json", f"content-length: {len(body)}"]
        lines.append("connection: " + ("keep-alive" if keep else "close"))
        self._write("\r\n".join(lines).encode() + b"\r\n\r\n" + (b"" if head else body))
        if not keep:
            self._close()

    def _close(self) -> None:
        if self._transport is not None:
            self._transport.close()


class _Request:
    def __init__(self) -> None:
        self.path = ""
        self.headers: list[tuple[str, str]] = []
        self.body = b""
        self.body_bytes = 0


class UdpEcho(asyncio.DatagramProtocol):
    """One UDP port."""

    def __init__(self) -> None:
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own class for this does not derive from the one that it documents
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        if self._transport is not None:
            self._transport.sendto(f"{addr[0]} {addr[1]}\n".encode() if data.strip() == b"whoami" else data, addr)


def udp_socket(family: socket.AddressFamily, host: str, port: int) -> socket.socket:
    """Bound, and of one family alone: asyncio says so for TCP only."""
    bound = socket.socket(family, socket.SOCK_DGRAM)
    if family is socket.AF_INET6:
        bound.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
    bound.setblocking(False)
    bound.bind((host, port))
    return bound


async def serve(ports: list[str], whom: dict[str, str]) -> None:
    """Listen on every `tcp:PORT` and `udp:PORT` of both families until SIGTERM. Other protocols are not answered."""
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()
    loop.add_signal_handler(signal.SIGTERM, stop.set)
    for text in ports:
        protocol, _, number = text.partition(":")
        for family, host in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
            if protocol == "tcp":
                await loop.create_server(lambda: Echo(whom), host, int(number), family=family, backlog=_BACKLOG)
            elif protocol == "udp":
                await loop.create_datagram_endpoint(UdpEcho, sock=udp_socket(family, host, int(number)))
    print(f"{whom['namespace']}/{whom['pod']} answers on {' '.join(ports) or 'no port'}", flush=True)
    await stop.wait()


if __name__ == "__main__":
    names = {key: os.environ.get(f"WEFT_{key.upper()}", "") for key in ("pod", "namespace", "node")}
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(sys.argv[1:], names))
