"""Random mutation of HTTP/1.1 conversations against the proxy's core: whatever comes in, some things never happen.

The rules that are checked after every input (`Broken` names the one that did not hold):
- the core raises nothing;
- what reached the upstream is a sequence of messages that an independent strict reader takes, each authorised: the
  policy of this test lets `/ok` through and nothing else;
- the client gets answers that the same reader can follow, and no more than it asked for;
- a response that is broken never reaches the client as a whole one.
"""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

from l7proxy.core.chunks import ChunkReader, MalformedChunk
from l7proxy.core.limits import Limits
from tests.support.playbook import Play, get, response
from tests.support.proxy import ingress, prefix, rule, view

ONLY_OK = view(ingress(rule(http=(prefix("/ok"),))))
CASES = Path(__file__).parents[1] / "conformance" / "http1" / "cases.json"

SPICE = [
    b"\r\n",
    b"\n",
    b"\r",
    b"\x00",
    b" ",
    b"\t",
    b":",
    b"Content-Length: 5\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"0\r\n\r\n",
    b"Host: b\r\n",
    b"Connection: close\r\n",
    b"Connection: host\r\n",
    b"\xff",
    b"%2e",
    b"/../",
    b"//",
    b"\\",
    b"#",
    b"?",
    b"100-continue",
    b"HTTP/1.0",
    b"GET /secret HTTP/1.1\r\nHost: a\r\n\r\n",
    b"5\r\nhello\r\n",
    b"ffffffffffffffff\r\n",
    b";a=b",
    b"Expect: 100-continue\r\n",
    b"Upgrade: h2c\r\n",
    b"http://b/ok",
    b"\x0b",
    b"\x7f",
    b", ",
    b"chunked",
    b"identity",
]


class Broken(AssertionError):
    """A rule did not hold; the text has the seed."""


def seeds() -> tuple[list[bytes], list[bytes]]:
    """Requests and responses to start from."""
    cases = json.loads(CASES.read_text())
    asked = [case["sent"].encode("utf-8") for case in cases if case["type"].startswith("request")]
    answered = [case["raw"].encode("utf-8") for case in cases if case["type"].startswith("response")]
    asked += [
        get("/ok") + get("/secret") + get("/ok/2"),
        get("/ok", "Content-Length: 5", method="POST") + b"hello" + get("/secret"),
        get("/ok", "Transfer-Encoding: chunked", method="POST") + b"5\r\nhello\r\n0\r\nA: b\r\n\r\n" + get("/secret"),
    ]
    answered += [
        response(),
        response(b"hello", "Connection: keep-alive"),
        b"HTTP/1.1 100 Continue\r\n\r\n" + response(),
    ]
    return asked, answered


def mutate(data: bytes, dice: random.Random) -> bytes:
    for _ in range(dice.randrange(4)):
        at = dice.randrange(len(data) + 1)
        match dice.randrange(4):
            case 0:
                data = data[:at] + dice.choice(SPICE) + data[at:]
            case 1:
                data = data[:at] + data[at + dice.randrange(1, 9) :]
            case 2:
                data = data[:at] + bytes([dice.randrange(256)]) + data[at + 1 :]
            case _:
                end = dice.randrange(at, len(data) + 1)
                data = data[:end] + data[at:end] + data[end:]
    return data


def pieces(data: bytes, dice: random.Random) -> list[bytes]:
    cuts = sorted({0, len(data), *(dice.randrange(len(data) + 1) for _ in range(dice.choice((0, 0, 1, 3, 9))))})
    return [data[begin:end] for begin, end in zip(cuts, cuts[1:], strict=False)]


def read_strictly(data: bytes) -> list[tuple[bytes, bytes]]:
    """Start line and body of each message; the last may be cut off. Knows no leniency and none of the proxy's code but
    the chunk reader. Raises Broken."""
    messages: list[tuple[bytes, bytes]] = []
    while data:
        head, blank, rest = data.partition(b"\r\n\r\n")
        if not blank:
            break
        line, *fields = head.split(b"\r\n")
        named: dict[bytes, list[bytes]] = {}
        for field in fields:
            name, colon, value = field.partition(b":")
            if not colon or not name or name.strip() != name or b"\n" in field or b"\r" in field or b"\x00" in field:
                raise Broken(f"a field that is none: {field!r}")
            named.setdefault(name.lower(), []).append(value.strip(b" \t"))
        lengths, codings = named.get(b"content-length", []), named.get(b"transfer-encoding", [])
        if len(lengths) + len(codings) > 1:
            raise Broken(f"two framings: {head!r}")
        if codings:
            reader = ChunkReader(Limits())
            try:
                payload, used = reader.feed(rest)
            except MalformedChunk as problem:
                raise Broken(f"a body that is none: {problem}") from None
            body, data = b"".join(payload), rest[used:]
        else:
            length = int(lengths[0]) if lengths else 0
            body, data = rest[:length], rest[length:]
        messages.append((line, body))
    return messages


def check_requests(data: bytes, dice: random.Random) -> None:
    play = Play(ONLY_OK)
    for piece in pieces(data, dice):
        play.ask(piece)
        for upstream, _ in list(play.site.upstreams):
            while upstream.client is not None and not upstream.client.request_unfinished:
                upstream.feed(response())
    for _, pipe in play.site.upstreams:
        for line, _ in read_strictly(bytes(pipe.sent)):
            method, target, version = line.split(b" ")
            if version != b"HTTP/1.1" or target.split(b"?")[0] != b"/ok" and not target.startswith(b"/ok/"):
                raise Broken(f"{line!r} was not authorised")
            if b"/../" in target.partition(b"?")[0] or method == b"CONNECT":
                raise Broken(f"{line!r} is ambiguous")


def check_responses(data: bytes, dice: random.Random) -> None:
    play = Play()
    play.ask(get())
    upstream, pipe = play.site.upstreams[0]
    for piece in pieces(data, dice):
        if pipe.is_closing():
            break
        upstream.feed(piece)
    if not pipe.is_closing():
        upstream.lost(orderly=dice.random() < 0.5)
    final = [line for line, _ in read_strictly(play.sent) if not line.startswith(b"HTTP/1.1 1")]
    if len(final) != 1:
        raise Broken(f"{len(final)} answers to one request: {play.sent!r}")


def one(seed: int, asked: list[bytes], answered: list[bytes]) -> None:
    """One input, the same for the same seed."""
    dice = random.Random(seed)
    if dice.random() < 0.65:
        data = mutate(dice.choice(asked), dice)
        if dice.random() < 0.3:
            data += mutate(dice.choice(asked), dice)
        check = check_requests
    else:
        data = mutate(dice.choice(answered), dice)
        check = check_responses
    try:
        check(data, dice)
    except Exception as problem:
        raise Broken(f"seed {seed}: {problem!r} on {data!r}") from problem


def run(seconds: float, first_seed: int = 0) -> int:
    """How many inputs were tried."""
    asked, answered = seeds()
    seed, end = first_seed, time.monotonic() + seconds
    while time.monotonic() < end:
        one(seed, asked, answered)
        seed += 1
    return seed - first_seed
