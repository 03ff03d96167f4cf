"""Small network programs that journeys run inside pods. Standard library only; each verb prints one JSON document.

Those that live on say first that they have begun. SECONDS is the longest they may take: a line on stdin ends those that
would go on for so long (steady, hold, pour), so that a journey waits for what it is about and not for the clock.
Nothing here measures how fast the machine is: an answer may take `PATIENCE_S`, and one that comes at once is told from
one that does not by how it comes (refused, reset) or by what TCP had to send again.
Long because a pod gets one file, and all verbs share the same few helpers.

reach TARGETS-JSON            try many (protocol, address, port); what came of each
steady PROTO HOST PORT SECONDS [PATH [PATIENCE]]   one exchange every 5 ms on a new socket; counts by outcome
hold HOST PORT MODE SECONDS   one connection: idle, send, or receive; how it ended
late HOST PORT PATH SECONDS   a request; at a line on stdin one on the same connection and one on a new one; all answers
raw HOST PORT                 bytes from stdin (hex) in one segment; answers as text, until the peer closes
whoami PROTO HOST PORT        what the server says of the caller
named HOST PORT SECONDS       one connection; whom it was opened to, as getpeername() says so much later
crowd HOST PORT COUNT         so many connections tried at each line `more` on stdin, and held; what became of each
sink PORT SECONDS             one connection, read to its end; how much came, and its hash
pour HOST PORT SECONDS [BYTES]   one connection, as much as it takes for so long, or so much; how much, and its hash
sniff PORT COUNT SECONDS      TCP packets to PORT as they come in: hop limit, Ethernet destination, length
reuse HOST PORT PATH COUNT PORTS [FIRST]   requests with `Connection: close`, over and over from PORTS source ports
                              counts by outcome, and how many SYNs had to be sent again
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import json
import os
import random
import select
import socket
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

PATIENCE_S = 20.0
"""For an answer: several times longer than a lost SYN (1 s, then 2 s) or a machine that is busy takes."""
AT_ONCE = 64
LEAST = 200
"""Exchanges that `steady` makes at least, however slow the machine is: as many as it would make in a second."""


def begun(word: object = None) -> None:
    """The line that `Cluster.start_probe` waits for."""
    print(json.dumps({"started": True} if word is None else word), flush=True)


def told_or_after(seconds: float) -> Callable[[], bool]:
    """Whether it is enough: a line came on stdin, or the time is over."""
    end, told = time.monotonic() + seconds, threading.Event()

    def listen() -> None:
        if os.read(sys.stdin.fileno(), 64):
            told.set()

    threading.Thread(target=listen, daemon=True).start()
    return lambda: told.is_set() or time.monotonic() >= end


def family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET


def outcome(error: OSError) -> str:
    """How a refusal looks from inside the pod."""
    if isinstance(error, TimeoutError):
        return "timeout"
    return errno.errorcode.get(error.errno or 0, str(error))


def try_tcp(host: str, port: int, patience_s: float = PATIENCE_S) -> str:
    """`ok` after an echo came back, otherwise why not."""
    try:
        with socket.socket(family(host), socket.SOCK_STREAM) as client:
            client.settimeout(patience_s)
            client.connect((host, port))
            client.sendall(b"ping\n")
            return "ok" if client.recv(64) else "closed"
    except OSError as error:
        return outcome(error)


def try_udp(host: str, port: int, patience_s: float = PATIENCE_S) -> str:
    try:
        with socket.socket(family(host), socket.SOCK_DGRAM) as client:
            client.settimeout(patience_s)
            client.connect((host, port))
            client.send(b"ping\n")
            return "ok" if client.recv(64) else "closed"
    except OSError as error:
        return outcome(error)


def try_http(host: str, port: int, patience_s: float = PATIENCE_S, path: str = "/") -> str:
    try:
        with socket.socket(family(host), socket.SOCK_STREAM) as client:
            client.settimeout(patience_s)
            client.connect((host, port))
            return status_of(client, path)
    except OSError as error:
        return outcome(error)


def status_of(client: socket.socket, path: str) -> str:
    """As `word_of` the answer."""
    client.sendall(f"GET {path} HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n".encode())
    answer = b""
    while piece := client.recv(65536):
        answer += piece
    return word_of(answer)


def word_of(answer: bytes) -> str:
    """`ok` for a 2xx, the status for another one."""
    status = answer.split(b" ", 2)[1].decode() if answer else "closed"
    return "ok" if status.startswith("2") else status


def sent_again(client: socket.socket) -> int:
    """Segments that TCP had to send again on this connection (tcpi_total_retrans, linux/tcp.h)."""
    info = client.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 104)
    return int.from_bytes(info[100:104], sys.byteorder)


TRY = {"tcp": try_tcp, "udp": try_udp}


def reach(targets_json: str) -> object:
    targets = json.loads(targets_json)
    with ThreadPoolExecutor(32) as pool:
        results = list(pool.map(lambda target: TRY[target[0]](target[1], int(target[2])), targets))
    return [[*target, result] for target, result in zip(targets, results, strict=True)]


def steady(
    protocol: str, host: str, port: str, seconds: str, path: str = "/", patience: str = str(PATIENCE_S)
) -> object:
    """One try every 5 ms; tries overlap, so a slow one does not hide a gap. Never more than `AT_ONCE`: nothing is lost
    in a queue that a slow server lets grow, and the end does not wait for tries that have not begun."""
    counts: dict[str, int] = {}
    when: dict[str, float] = {}
    counting, places = threading.Lock(), threading.Semaphore(AT_ONCE)
    patience_s, start = float(patience), time.monotonic()
    enough = told_or_after(float(seconds))

    def once(at: float) -> None:
        if protocol == "http":
            result = try_http(host, int(port), patience_s, path)
        else:
            result = TRY[protocol](host, int(port), patience_s)
        with counting:
            counts[result] = counts.get(result, 0) + 1
            when.setdefault(result, round(at - start, 3))
        places.release()

    begun()
    made = 0
    with ThreadPoolExecutor(AT_ONCE) as pool:
        while not enough() or made < LEAST:
            places.acquire()
            begin = time.monotonic()
            pool.submit(once, begin)
            made += 1
            time.sleep(max(0.0, begin + 0.005 - time.monotonic()))
    return {"counts": counts, "firstSeen": when}


def hold(host: str, port: str, mode: str, seconds: str) -> object:
    """Open a connection, say so, then see how long it lives. `receive` asks the server to keep sending."""
    with socket.socket(family(host), socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE_S)
        client.connect((host, int(port)))
        client.sendall(b"stream\n" if mode == "receive" else b"ping\n")
        client.recv(64)
        begun()
        start = time.monotonic()
        enough = told_or_after(float(seconds))
        client.setblocking(False)
        while not enough():
            readable, _, _ = select.select([client], [], [], 0.05)
            try:
                if readable and not client.recv(65536):
                    return {"ended": "closed", "after": round(time.monotonic() - start, 3)}
                if mode == "send":
                    client.send(b"ping\n")
            except BlockingIOError:
                continue
            except OSError as error:
                return {"ended": outcome(error), "after": round(time.monotonic() - start, 3)}
        return {"ended": "alive"}


def serve(port: str, seconds: str) -> object:
    """A TCP server for `hold`: answers the first line, keeps sending after `stream`; reports how connections ended."""
    ends: list[str] = []
    with socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        begun()
        listener.settimeout(float(seconds))
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(0.05)
            first = b""
            end = time.monotonic() + float(seconds)
            while not first and time.monotonic() < end:
                with contextlib.suppress(TimeoutError):
                    first = connection.recv(64)
            connection.sendall(b"pong\n")
            while time.monotonic() < end:
                try:
                    if first == b"stream\n":
                        connection.sendall(b"tick\n")
                    if not connection.recv(65536):
                        ends.append("closed")
                        break
                except TimeoutError:
                    continue
                except OSError as error:
                    ends.append(outcome(error))
                    break
            else:
                ends.append("alive")
    return {"ends": ends}


def late(host: str, port: str, path: str, seconds: str) -> object:
    """Says the first answer, then that the other two requests are sent, then their answers: SECONDS for each. A proxy
    that stands still for long is declared down, so they may be refused by then."""
    ask = f"GET {path} HTTP/1.1\r\nHost: probe\r\n\r\n".encode()

    def said(act: Callable[[], bytes | None]) -> str:
        try:
            return word_of(act() or b"")
        except OSError as error:
            return outcome(error)

    with socket.socket(family(host)) as kept, socket.socket(family(host)) as new:
        for client in (kept, new):
            client.settimeout(float(seconds))
        kept.connect((host, int(port)))
        kept.sendall(ask)
        begun(said(lambda: kept.recv(65536)))
        sys.stdin.readline()
        said(lambda: kept.sendall(ask))
        said(lambda: new.connect((host, int(port))))
        said(lambda: new.sendall(ask))
        begun()
        return {"kept": said(lambda: kept.recv(65536)), "new": said(lambda: new.recv(65536))}


def raw(host: str, port: str) -> object:
    """All of stdin (hex) in one send, then everything that comes back until the peer closes."""
    data, answer, ended = bytes.fromhex(sys.stdin.read()), b"", "closed"
    with socket.socket(family(host), socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE_S)
        try:
            client.connect((host, int(port)))
            client.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            client.sendall(data)
            while piece := client.recv(65536):
                answer += piece
        except OSError as error:
            ended = outcome(error)
    return {"answer": answer.decode("latin-1"), "ended": ended}


def whoami(protocol: str, host: str, port: str) -> object:
    """The caller as the echo server saw it."""
    kind = socket.SOCK_DGRAM if protocol == "udp" else socket.SOCK_STREAM
    with socket.socket(family(host), kind) as client:
        client.settimeout(PATIENCE_S)
        client.connect((host, int(port)))
        mine = client.getsockname()
        peer = client.getpeername()
        if protocol == "http":
            client.sendall(b"GET / HTTP/1.1\r\nHost: probe\r\nConnection: close\r\n\r\n")
        else:
            client.sendall(b"whoami\n")
        answer = b""
        with contextlib.suppress(TimeoutError):
            while piece := client.recv(65536):
                answer += piece
                if protocol != "http":
                    break
    return {
        "answer": answer.decode(errors="replace"),
        "local": mine[0],
        "localPort": mine[1],
        "peer": peer[0],
        "peerPort": peer[1],
    }


def reuse(host: str, port: str, path: str, count: str, ports: str, first: str = "20000") -> object:
    """Each source port comes again while the server's end of its last connection is in TIME_WAIT."""
    counts: dict[str, int] = {}
    again = 0
    for number in range(int(count)):
        with socket.socket(family(host), socket.SOCK_STREAM) as client:
            client.settimeout(PATIENCE_S)
            client.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            try:
                client.bind(("", int(first) + number % int(ports)))
                try:
                    client.connect((host, int(port)))
                finally:
                    again += sent_again(client)
                result = status_of(client, path)
            except OSError as error:
                result = outcome(error)
        counts[result] = counts.get(result, 0) + 1
    return {"counts": counts, "synsAgain": again}


def named(host: str, port: str, seconds: str) -> object:
    """`after`: how long it really was, for a machine that was busy."""
    with socket.socket(family(host), socket.SOCK_STREAM) as client:
        client.settimeout(PATIENCE_S)
        begin = time.monotonic()
        client.connect((host, int(port)))
        time.sleep(float(seconds))
        peer = client.getpeername()[0]
        return {"peer": peer, "after": time.monotonic() - begin}


def sink(port: str, seconds: str) -> object:
    digest, size = hashlib.sha256(), 0
    with socket.create_server(("::", int(port)), family=socket.AF_INET6, dualstack_ipv6=True) as listener:
        begun()
        listener.settimeout(float(seconds))
        connection, _ = listener.accept()
        with connection:
            connection.settimeout(float(seconds))
            while piece := connection.recv(1 << 18):
                digest.update(piece)
                size += len(piece)
    return {"bytes": size, "sha256": digest.hexdigest()}


def pour(host: str, port: str, seconds: str, most: str = "0") -> object:
    digest, size, piece = hashlib.sha256(), 0, random.randbytes(1 << 17)
    with socket.create_connection((host, int(port)), PATIENCE_S) as client:
        begun()
        enough = told_or_after(float(seconds))
        while not enough() and (not int(most) or size < int(most)):
            part = piece[size % 1000 :]  # no two alike in place
            client.sendall(part)
            digest.update(part)
            size += len(part)
    return {"bytes": size, "sha256": digest.hexdigest()}


def sniff(port: str, count: str, seconds: str) -> object:
    seen: list[dict[str, object]] = []
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(3)) as wire:
        wire.settimeout(float(seconds))
        begun()
        while len(seen) < int(count):
            frame, (_, _, kind, *_) = wire.recvfrom(1 << 17)
            v4 = frame[12:14] == b"\x08\x00"
            hops, protocol, l4 = (frame[22], frame[23], 34) if v4 else (frame[21], frame[20], 54)
            if kind == socket.PACKET_OUTGOING or protocol != socket.IPPROTO_TCP:
                continue
            if int.from_bytes(frame[l4 + 2 : l4 + 4], "big") == int(port):
                seen.append({"hops": hops, "to": frame[:6].hex(":"), "length": len(frame)})
    return seen


def crowd(host: str, port: str, count: str) -> object:
    """Each connection has had an answer of the server before it counts as held."""
    held: list[socket.socket] = []
    begun()
    while sys.stdin.readline() == "more\n":
        refused: dict[str, int] = {}
        for _ in range(int(count)):
            client = socket.socket(family(host), socket.SOCK_STREAM)
            client.settimeout(PATIENCE_S)
            try:
                client.connect((host, int(port)))
                client.sendall(b"ping\n")
                client.recv(64)
                held.append(client)
            except OSError as error:
                client.close()
                refused[outcome(error)] = refused.get(outcome(error), 0) + 1
        begun({"held": len(held), "refused": refused})
    alive = 0
    for client in held:
        with contextlib.suppress(OSError):
            client.sendall(b"ping\n")
            alive += bool(client.recv(64))
        client.close()
    return {"alive": alive}


VERBS = {
    verb.__name__: verb
    for verb in (reach, steady, hold, serve, late, raw, whoami, named, crowd, reuse, sink, pour, sniff)
}

if __name__ == "__main__":
    print(json.dumps(VERBS[sys.argv[1]](*sys.argv[2:])), flush=True)
