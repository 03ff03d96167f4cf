"""A process that stays in a pod and probes on request: `python -m tests.support.station`, one JSON document per line.

{"reach": [[how, address, port, request?], ...]}   all at once; what came of each
{"open": [[id, how, address, port, request?], ...]} connections that go on exchanging until they end or are closed
{"look": true}                                     what became of each: {id: {...}}
{"close": true}                                    end them all
{"sockets": true}                                  established TCP: [[local port, peer address, peer port], ...]
{"counters": true}                                 the namespace's TCP and IPv6 counters that are not zero

`how` is tcp (echo a line), udp, udpto (never connected), or http. Standard library only.
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from ipaddress import IPv4Address, IPv6Address
from typing import Any

TIMEOUT_S = 2.0
BEAT_S = 0.05
PARALLEL = 24


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


class NoAnswer(Exception):
    """connect() heard nothing. The text names the local port, for the trace."""


def outcome(error: OSError) -> str:
    if isinstance(error, TimeoutError):
        return "timeout"
    return errno.errorcode.get(error.errno or 0, str(error))


def exchange(client: socket.socket, line: bytes) -> str:
    """`ok`: the echo; `proxy`: somebody in between wants HTTP."""
    client.sendall(line)
    answer = b""
    while len(answer) < len(line):
        piece = client.recv(4096)
        if not piece:
            return "closed"
        answer += piece
    return "ok" if answer == line else "proxy" if answer.startswith(b"HTTP/1.1 400") else f"other: {answer[:40]!r}"


def request_bytes(request: dict[str, Any], *, close: bool) -> bytes:
    lines = [f"{request['method']} {request['target']} HTTP/1.1", f"Host: {request['host']}"]
    lines += [f"{name}: {value}" for name, value in request["headers"]]
    lines += ["Content-Length: 0"] if request["method"] == "POST" else []
    lines += ["Connection: close"] if close else []
    return ("\r\n".join(lines) + "\r\n\r\n").encode()


def ask(client: socket.socket, request: dict[str, Any], *, close: bool) -> str:
    """The status of the answer, `closed` where none came."""
    client.sendall(request_bytes(request, close=close))
    answer = b""
    while b"\r\n\r\n" not in answer:
        piece = client.recv(65536)
        if not piece:
            return "closed"
        answer += piece
    head, _, body = answer.partition(b"\r\n\r\n")
    length = 0
    for line in head.split(b"\r\n")[1:]:
        name, _, value = line.partition(b":")
        if name.lower() == b"content-length" and request["method"] != "HEAD":
            length = int(value)
    while len(body) < length:
        piece = client.recv(65536)
        if not piece:
            return "truncated"
        body += piece
    return head.split(b" ", 2)[1].decode()


def connected(how: str, host: str, port: int) -> socket.socket:
    kind = socket.SOCK_DGRAM if how.startswith("udp") else socket.SOCK_STREAM
    client = socket.socket(family(host), kind)
    client.settimeout(TIMEOUT_S)
    try:
        if how != "udpto":
            client.connect((host, port))
    except TimeoutError as error:
        local = client.getsockname()[1]
        client.close()
        raise NoAnswer(f"no answer to connect() from port {local}") from error
    except OSError:
        client.close()
        raise
    return client


def attempt(how: str, host: str, port: int, request: dict[str, Any] | None = None) -> str:
    line = f"{os.getpid()} {time.monotonic_ns()}\n".encode()
    try:
        with connected(how, host, port) as client:
            if how == "http":
                assert request is not None
                return ask(client, request, close=True)
            if how == "udpto":
                client.sendto(line, (host, port))
                answer, sender = client.recvfrom(4096)
                return "ok" if (answer, sender[:2]) == (line, (host, port)) else f"other: {answer!r} of {sender}"
            try:
                return exchange(client, line)
            except TimeoutError:
                return "timeout" if how == "udp" else f"timeout after connect() from port {client.getsockname()[1]}"
    except NoAnswer as error:
        return str(error)
    except OSError as error:
        return outcome(error)


class Held:
    """One connection that a thread keeps busy."""

    def __init__(self, how: str, host: str, port: int, request: dict[str, Any] | None = None) -> None:
        self.how, self.host, self.port, self.request = how, host, port, request
        self.ended = ""
        self.since = 0.0
        self.local = 0
        self.counts: dict[str, int] = {}
        self.last = ""
        self.stopped = False
        self.stood = threading.Event()
        threading.Thread(target=self.run, daemon=True).start()

    def run(self) -> None:
        try:
            with connected(self.how, self.host, self.port) as client:
                self.local = client.getsockname()[1]
                while not self.stopped and not self.ended:
                    self.beat(client)
                    self.stood.set()
                    time.sleep(BEAT_S)
        except NoAnswer as error:
            self.end(str(error))
        except OSError as error:
            self.end(outcome(error))
        self.stood.set()

    def beat(self, client: socket.socket) -> None:
        if self.request is not None:
            self.last = ask(client, self.request, close=False)
        else:
            self.last = exchange(client, b"beat\n")
        self.counts[self.last] = self.counts.get(self.last, 0) + 1
        if self.last in ("closed", "truncated"):
            self.end(self.last)

    def end(self, how: str) -> None:
        self.ended, self.since = how, time.time()

    def shown(self) -> dict[str, Any]:
        counts, self.counts = self.counts, {}
        return {
            "ended": self.ended,
            "at": self.since,
            "local": self.local,
            "last": self.last,
            "counts": counts,
        }


def _address(text: str) -> str:
    raw = bytes.fromhex(text)
    words = b"".join(raw[at : at + 4][::-1] for at in range(0, len(raw), 4))
    address = IPv4Address(words) if len(words) == 4 else IPv6Address(words)
    return str(getattr(address, "ipv4_mapped", None) or address)


def established() -> list[list[Any]]:
    rows = []
    for path in ("/proc/self/net/tcp", "/proc/self/net/tcp6"):
        with open(path, encoding="ascii") as lines:
            for line in list(lines)[1:]:
                _, local, peer, state = line.split()[:4]
                if state == "01":
                    ip, _, port = peer.partition(":")
                    rows.append([int(local.partition(":")[2], 16), _address(ip), int(port, 16)])
    return rows


def counters() -> dict[str, int]:
    """What the kernel counted in this namespace: which way packets and connections went missing."""
    found: dict[str, int] = {}
    for path in ("/proc/self/net/snmp", "/proc/self/net/netstat"):
        with open(path, encoding="ascii") as lines:
            rows = list(lines)
        for names, values in zip(rows[::2], rows[1::2], strict=True):
            kind, *named = names.split()
            found |= {kind + name: int(value) for name, value in zip(named, values.split()[1:], strict=True)}
    with open("/proc/self/net/snmp6", encoding="ascii") as lines:
        found |= {name: int(value) for name, value in (line.split() for line in lines)}
    return {name: value for name, value in found.items() if value}


def main() -> None:
    held: dict[str, Held] = {}
    with ThreadPoolExecutor(PARALLEL) as pool:
        for line in sys.stdin:
            command = json.loads(line)
            answer: Any = None
            if "reach" in command:
                answer = list(pool.map(lambda target: attempt(*target), command["reach"]))
            elif "open" in command:
                fresh = {name: Held(*what) for name, *what in command["open"]}
                for one in fresh.values():
                    one.stood.wait(TIMEOUT_S + 1)
                held |= fresh
            elif "look" in command:
                answer = {name: one.shown() for name, one in held.items()}
            elif "close" in command:
                for one in held.values():
                    one.stopped = True
                held = {}
            elif "sockets" in command:
                answer = established()
            elif "counters" in command:
                answer = counters()
            print(json.dumps(answer), flush=True)


if __name__ == "__main__":
    with contextlib.suppress(KeyboardInterrupt):
        main()
