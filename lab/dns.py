"""The cluster's DNS server: runs as the pod behind Service kube-system/kube-dns, answers from zone.json.

UDP and TCP on port 53 of both families. The file is read again when it has changed, so an answer is never older than
the supervisor's last write. Names outside the cluster are refused: the lab has no way out. All decisions are
`lab.zone.answer`; this file turns them into the wire format (dnslib) and moves bytes.
"""

from __future__ import annotations

import asyncio
import json
import os
import socket
import struct
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path
from typing import Any, cast

from dnslib import AAAA, PTR, QTYPE, RCODE, RR, SRV, A, DNSError, DNSRecord

from lab.echo import udp_socket
from lab.zone import DOMAIN, Answer, answer

_TTL_S = 5
"""As CoreDNS' kubernetes plugin."""
_LARGEST_UDP = 1232
_TCP_IDLE_S = 10.0
_TCP_CONNECTIONS = 256
_EMPTY: dict[str, Any] = {"addresses": {}, "srv": {}, "ptr": {}, "names": [DOMAIN]}


class ZoneFile:
    """The zone as last read."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._seen: tuple[int, int] = (0, 0)
        self._zone = _EMPTY

    def current(self) -> dict[str, Any]:
        """Reads the file when its inode or time has changed: the supervisor replaces it whole."""
        try:
            stat = self._path.stat()
            if (stat.st_ino, stat.st_mtime_ns) != self._seen:
                self._zone = json.loads(self._path.read_text(encoding="utf-8"))
                self._seen = (stat.st_ino, stat.st_mtime_ns)
        except (OSError, ValueError):
            return self._zone
        return self._zone


def reply(zone: dict[str, Any], question: bytes, *, limit: int) -> bytes | None:
    """The answer to one message, cut (TC) where it is longer than `limit`; None for what is no question."""
    try:
        request = DNSRecord.parse(question)
    except (DNSError, struct.error, ValueError, IndexError):
        return None
    if request.header.qr:
        return None
    message = request.reply(ra=0, aa=1)
    if request.header.opcode != 0 or len(request.questions) != 1:
        message.header.rcode = RCODE.NOTIMP
        return bytes(message.pack())
    kind = QTYPE.forward.get(request.q.qtype, "")
    name = str(request.q.qname)
    said = answer(zone, name, kind)
    message.header.rcode = getattr(RCODE, said.code)
    for record in _records(name, said):
        message.add_answer(record)
    raw = bytes(message.pack())
    return raw if len(raw) <= limit else bytes(message.truncate().pack())


def _records(name: str, said: Answer) -> Iterable[RR]:
    for kind, value in said.records:
        if kind == "SRV":
            port, _, target = value.partition(" ")
            data = SRV(0, 100, int(port), target)
        else:
            data = {"A": A, "AAAA": AAAA, "PTR": PTR}[kind](value)
        yield RR(name, getattr(QTYPE, kind), rdata=data, ttl=_TTL_S)


class _Udp(asyncio.DatagramProtocol):
    def __init__(self, zone: ZoneFile) -> None:
        self._zone = zone
        self._transport: asyncio.DatagramTransport | None = None

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        # asyncio's own class for this does not derive from the one that it documents
        self._transport = cast(asyncio.DatagramTransport, transport)

    def datagram_received(self, data: bytes, addr: Any) -> None:
        message = reply(self._zone.current(), data, limit=_LARGEST_UDP)
        if message is not None and self._transport is not None:
            self._transport.sendto(message, addr)


async def _tcp(zone: ZoneFile, slots: asyncio.Semaphore, reader: asyncio.StreamReader, writer: Any) -> None:
    async with slots:
        with suppress(OSError, asyncio.IncompleteReadError, TimeoutError):
            while True:
                async with asyncio.timeout(_TCP_IDLE_S):
                    (length,) = struct.unpack("!H", await reader.readexactly(2))
                    message = reply(zone.current(), await reader.readexactly(length), limit=65535)
                    if message is None:
                        break
                    writer.write(struct.pack("!H", len(message)) + message)
                    await writer.drain()
        writer.close()


async def serve(zone: ZoneFile, port: int = 53) -> None:
    loop = asyncio.get_running_loop()
    slots = asyncio.Semaphore(_TCP_CONNECTIONS)
    for family, any_address in ((socket.AF_INET, "0.0.0.0"), (socket.AF_INET6, "::")):
        await loop.create_datagram_endpoint(lambda: _Udp(zone), sock=udp_socket(family, any_address, port))
        await asyncio.start_server(lambda r, w: _tcp(zone, slots, r, w), any_address, port, family=family)
    print(f"answering for {DOMAIN} on port {port}", flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    with suppress(KeyboardInterrupt):
        asyncio.run(serve(ZoneFile(Path(os.environ["WEFT_LAB_ZONE"]))))
