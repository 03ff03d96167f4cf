"""What a hostile pod with root inside its namespace can try. Standard library only; each verb prints one JSON document.

spoof VICTIM TARGET PORT COUNT       TCP SYNs and UDP datagrams that claim to come from another pod
marks TARGET PORT                    connect with every mark that the mesh uses
flags TARGET PORT COUNT              TCP segments with flag combinations that no connection has
fragments TARGET PORT                a tiny first fragment, a later fragment without a first, and an overlapping pair
extensions TARGET6 PORT              IPv6 packets with a routing header, and with too many headers
mapped TARGET4 PORT                  IPv6 sockets that reach an IPv4 address as ::ffff:a.b.c.d, TCP and UDP
discovery TARGET6 VICTIM6            neighbour discovery to a far address, in another's name, and as a router
errors TARGET ASKED                  ICMP errors to TARGET that quote a real flow between here and ASKED port 53
knock HOST PORT...                   plain connects
sockets TARGET PORT SECONDS          a datagram from a new socket, over and over; says when the first ones are out
flood TARGET PORT SECONDS            SYNs as fast as they go, each from another port; says when the first ones are out
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import json
import socket
import struct
import sys

from tests.support.probes import PATIENCE_S, begun, told_or_after

MARKS = (0x10, 0x20, 0x30, 0xF0)
ETH_P_IP, ETH_P_IPV6 = 0x0800, 0x86DD
OWN_PORTS = 20000
"""What an attack sends from begins here: below the ports that a kernel gives to real clients (32768 and up)."""


def checksum(data: bytes) -> int:
    if len(data) % 2:
        data += b"\0"
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


def l4(protocol: int, source: str, target: str, port: int, *, flags: int = 2, sport: int = OWN_PORTS) -> bytes:
    """A TCP header or a UDP datagram with the right checksum."""
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    ends = socket.inet_pton(family, source) + socket.inet_pton(family, target)
    if protocol == socket.IPPROTO_TCP:
        body = struct.pack("!HHIIBBHHH", sport, port, 7, 0, 5 << 4, flags, 1024, 0, 0)
        offset = 16
    else:
        body = struct.pack("!HHHH", sport, port, 12, 0) + b"evil"
        offset = 6
    value = checksum(ends + struct.pack("!II", len(body), protocol) + body)
    return body[:offset] + struct.pack("!H", value) + body[offset + 2 :]


def ipv4(source: str, target: str, protocol: int, payload: bytes, *, ident: int = 1, fragment: int = 0) -> bytes:
    """`fragment`: the flags and offset field as it stands in the header."""
    head = struct.pack("!BBHHHBBH", 0x45, 0, 20 + len(payload), ident, fragment, 64, protocol, 0)
    head += socket.inet_aton(source) + socket.inet_aton(target)
    return head[:10] + struct.pack("!H", checksum(head)) + head[12:] + payload


def ipv6(source: str, target: str, first: int, payload: bytes, *, hops: int = 64) -> bytes:
    return (
        struct.pack("!IHBB", 6 << 28, len(payload), first, hops)
        + socket.inet_pton(socket.AF_INET6, source)
        + socket.inet_pton(socket.AF_INET6, target)
        + payload
    )


def wire(packets: list[bytes], kind: int) -> None:
    """Put frames on eth0, past this namespace's own stack."""
    with socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(kind)) as link:
        link.bind(("eth0", kind))
        mine = fcntl.ioctl(link.fileno(), 0x8927, struct.pack("256s", b"eth0"))[18:24]  # SIOCGIFHWADDR
        gateway = gateway_mac()
        for packet in packets:
            link.send(gateway + mine + struct.pack("!H", kind) + packet)


def gateway_mac() -> bytes:
    """The host side's hardware address, as the neighbour table has it after one attempt to talk."""
    import subprocess

    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as nudge, contextlib.suppress(OSError):
        nudge.sendto(b"x", ("192.0.2.2", 9))
    for line in subprocess.run(
        ["ip", "neigh", "show", "dev", "eth0"], capture_output=True, text=True
    ).stdout.splitlines():
        words = line.split()
        if "lladdr" in words:
            return bytes.fromhex(words[words.index("lladdr") + 1].replace(":", ""))
    return b"\xff" * 6


def own_address(target: str) -> str:
    family = socket.AF_INET6 if ":" in target else socket.AF_INET
    with socket.socket(family, socket.SOCK_RAW, socket.IPPROTO_ICMPV6 if ":" in target else socket.IPPROTO_ICMP):
        pass
    import subprocess

    flag = "-6" if ":" in target else "-4"
    out = subprocess.run(["ip", flag, "-j", "addr", "show", "dev", "eth0"], capture_output=True, text=True).stdout
    return next(a["local"] for a in json.loads(out)[0]["addr_info"] if a["scope"] == "global")


def attempt(host: str, port: int, *, mark: int = 0, family: int | None = None, udp: bool = False) -> str:
    kind = socket.SOCK_DGRAM if udp else socket.SOCK_STREAM
    try:
        with socket.socket(family or (socket.AF_INET6 if ":" in host else socket.AF_INET), kind) as client:
            client.settimeout(PATIENCE_S)
            if mark:
                client.setsockopt(socket.SOL_SOCKET, 36, mark)
            if udp:
                client.sendto(b"ping\n", (host, port))
            else:
                client.connect((host, port))
                client.sendall(b"ping\n")
            return "ok" if client.recv(64) else "closed"
    except TimeoutError:
        return "timeout"
    except OSError as error:
        return errno.errorcode.get(error.errno or 0, str(error))


def spoof(victim: str, target: str, port: str, count: str) -> object:
    packets = []
    for number in range(int(count)):
        for protocol in (socket.IPPROTO_TCP, socket.IPPROTO_UDP):
            body = l4(protocol, victim, target, int(port), sport=OWN_PORTS + number)
            packets.append(
                ipv6(victim, target, protocol, body) if ":" in target else ipv4(victim, target, protocol, body)
            )
    wire(packets, ETH_P_IPV6 if ":" in target else ETH_P_IP)
    return {"sent": len(packets)}


def marks(target: str, port: str) -> object:
    return {hex(mark): attempt(target, int(port), mark=mark) for mark in MARKS}


def flags(target: str, port: str, count: str) -> object:
    source = own_address(target)
    odd = (0x00, 0x01, 0x29, 0x3F, 0x03, 0x06, 0x07, 0x10, 0x18)
    packets = [
        ipv4(
            source,
            target,
            socket.IPPROTO_TCP,
            l4(socket.IPPROTO_TCP, source, target, int(port), flags=flag, sport=OWN_PORTS + number),
        )
        for number in range(int(count))
        for flag in odd
    ]
    wire(packets, ETH_P_IP)
    return {"sent": len(packets)}


def fragments(target: str, port: str) -> object:
    source = own_address(target)
    segment = l4(socket.IPPROTO_TCP, source, target, int(port))
    datagram = l4(socket.IPPROTO_UDP, source, target, int(port)) + b"A" * 20
    more = 0x2000
    wire(
        [
            ipv4(source, target, socket.IPPROTO_TCP, segment[:8], ident=100, fragment=more),
            ipv4(source, target, socket.IPPROTO_TCP, segment[8:], ident=100, fragment=1),
            ipv4(source, target, socket.IPPROTO_UDP, b"B" * 16, ident=101, fragment=2),
            ipv4(source, target, socket.IPPROTO_UDP, datagram[:16], ident=102, fragment=more),
            ipv4(source, target, socket.IPPROTO_UDP, datagram[8:24], ident=102, fragment=1),
        ],
        ETH_P_IP,
    )
    return {"sent": 5}


def extensions(target: str, port: str) -> object:
    source = own_address(target)
    tcp = l4(socket.IPPROTO_TCP, source, target, int(port))
    routing = struct.pack("!BBBBI", socket.IPPROTO_TCP, 2, 0, 1, 0) + socket.inet_pton(socket.AF_INET6, target)
    option = struct.pack("!BBBBI", 60, 0, 1, 4, 0)
    last = struct.pack("!BBBBI", socket.IPPROTO_TCP, 0, 1, 4, 0)
    wire(
        [
            ipv6(source, target, 43, routing + tcp),
            ipv6(source, target, 60, option * 12 + last + tcp),
            ipv6(source, target, 60, option),
        ],
        ETH_P_IPV6,
    )
    return {"sent": 3}


def mapped(target: str, port: str) -> object:
    address = f"::ffff:{target}"
    return {
        "tcp": attempt(address, int(port), family=socket.AF_INET6),
        "udp": attempt(address, int(port), family=socket.AF_INET6, udp=True),
    }


def discovery(target: str, victim: str) -> object:
    source = own_address(target)
    kinds = [struct.pack("!BBHI", kind, 0, 0, 0) + b"stolen goods    " for kind in (133, 134, 135, 136)]
    claims = [(source, target), (victim, "ff02::1"), (victim, target)]
    packets = [ipv6(*ends, socket.IPPROTO_ICMPV6, kind, hops=255) for ends in claims for kind in kinds]
    wire([*packets, ipv6(source, "ff02::1", socket.IPPROTO_ICMPV6, kinds[1], hops=255)], ETH_P_IPV6)
    return {"sent": len(packets) + 1}


def errors(target: str, asked: str) -> object:
    source = own_address(target)
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client:
        client.connect((asked, 53))
        port = client.getsockname()[1]
        # Nobody listens there. Once that is told, the flow is known; not every time, for such errors are rate-limited.
        client.settimeout(1)
        for _ in range(60):
            with contextlib.suppress(TimeoutError):
                try:
                    client.send(b"question")
                    client.recv(64)
                except ConnectionRefusedError:
                    break
    quoted = [
        ipv4(*ends, socket.IPPROTO_UDP, struct.pack("!4H", *ports, 28, 0) + b"stolen goods")
        for ends, ports in (((asked, source), (53, port)), ((source, asked), (port, 53)))
    ]
    bodies = [struct.pack("!BBHI", 3, 3, 0, 0) + quote for quote in quoted]
    bodies = [body[:2] + struct.pack("!H", checksum(body)) + body[4:] for body in bodies]
    wire([ipv4(source, target, socket.IPPROTO_ICMP, body) for body in bodies], ETH_P_IP)
    return {"sent": len(bodies)}


def knock(host: str, *ports: str) -> object:
    return {port: attempt(host, int(port)) for port in ports}


def flood(target: str, port: str, seconds: str) -> object:
    source = own_address(target)
    packets = [
        ipv4(source, target, socket.IPPROTO_TCP, l4(socket.IPPROTO_TCP, source, target, int(port), sport=number))
        for number in range(1024, 65536)
    ]
    sent, enough = 0, told_or_after(float(seconds))
    with socket.socket(socket.AF_INET, socket.SOCK_RAW, socket.IPPROTO_RAW) as out:
        while not enough():
            for packet in packets[sent % len(packets) :][:1000]:
                with contextlib.suppress(OSError):
                    out.sendto(packet, (target, 0))
                sent += 1
            if sent == 10_000:
                begun()
    return {"sent": sent}


def sockets(target: str, port: str, seconds: str) -> object:
    sent, enough = 0, told_or_after(float(seconds))
    while not enough():
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as one, contextlib.suppress(OSError):
            one.sendto(b"x", (target, int(port)))
        sent += 1
        if sent == 10_000:
            begun()
    return {"sent": sent}


VERBS = {
    verb.__name__: verb
    for verb in (spoof, marks, flags, fragments, extensions, mapped, discovery, errors, knock, flood, sockets)
}

if __name__ == "__main__":
    print(json.dumps(VERBS[sys.argv[1]](*sys.argv[2:])), flush=True)
