"""Two pods, a node and the world, with real packets: run as root on any kernel from 6.1 up.

    python tests/bpf/smoke.py [--bpffs PATH] [--cgroup PATH] [--no-offload]

Needs bcc, pyroute2 and the standard library besides agent/datapath and mesh. Everything stands in network namespaces
called weft-smoke-*, and nothing is left behind. Prints one line per check; exit 0 if all hold.

Long because it must stand alone on kernels under emulation: no pytest, no lab.
"""

from __future__ import annotations

import argparse
import array
import ctypes
import errno
import fcntl
import json
import os
import select
import signal
import socket
import struct
import sys
import time
import traceback
from collections.abc import Callable
from ipaddress import ip_address, ip_network
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from pyroute2 import NetNS, netns

from agent.datapath import sockdestroy
from agent.datapath.interface import Tables
from agent.datapath.kernel import KernelDatapath
from agent.datapath.tables import (
    AddressKey,
    BackendEntry,
    EndpointEntry,
    FlowEvent,
    IpcacheEntry,
    IpcacheKey,
    NodeConfig,
    PolicyStep,
    ServiceEntry,
    ServiceKey,
)
from agent.policypages import pages_of
from agent.policysets import keys_of
from mesh import layouts

INSTANCE = "smoke"
NODE, POD_A, POD_B, WORLD = (f"weft-smoke-{name}" for name in ("node", "a", "b", "world"))
IP = {
    POD_A: ("10.9.1.2", "fd09:1::2"),
    POD_B: ("10.9.2.2", "fd09:2::2"),
    WORLD: ("10.9.3.2", "fd09:3::2"),
}
GATEWAY = {
    POD_A: ("10.9.1.1", "fd09:1::1"),
    POD_B: ("10.9.2.1", "fd09:2::1"),
    WORLD: ("10.9.3.1", "fd09:3::1"),
}
SERVICE_ADDRESS = ("10.96.0.10", "fd10:96::10")
IDENTITY_A, IDENTITY_B = 1001, 1002
SET_A, SET_B, SET_CLOSED = 1, 2, 3
ALLOWED, HTTP, DENIED = 9090, 8080, 7070
PROXY_PORT, AGENT_PORT = 15001, 15002
TO_PROXY, FROM_PROXY, OWN_ANSWER, MASK = 0x10, 0x20, 0x30, 0xF0
TCP, UDP = 6, 17
PATIENCE_S, AT_ONCE_S = 20.0, 0.5
IPV6_TRANSPARENT, IP_TRANSPARENT, SO_MARK, SO_NETNS_COOKIE = 75, 19, 36, 71
IP_BIND_ADDRESS_NO_PORT = 24
SIOCETHTOOL, ETHTOOL_STXCSUM, ETHTOOL_STSO = 0x8946, 0x17, 0x1F

Ready = Callable[[], object]
BYE = b"bye\n"
"""The server hangs up when it reads this."""

failures: list[str] = []


def check(name: str, holds: bool, seen: object = "") -> None:
    print(f"{'ok  ' if holds else 'FAIL'} {name}{'' if holds else f'   saw: {seen!r}'}", flush=True)
    if not holds:
        failures.append(name)


# ---- namespaces ------------------------------------------------------------------------------------------------


def enter(name: str) -> None:
    fd = os.open(f"/run/netns/{name}", os.O_RDONLY)
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.setns(fd, 0x40000000):
        raise OSError(ctypes.get_errno(), f"setns {name}")
    os.close(fd)


def within(name: str, work: Callable[..., Any], *arguments: Any, cgroup: str = "") -> Any:
    """Run `work` in a child process inside the namespace (and cgroup); its JSON-able result or error text."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(read)
        try:
            if cgroup:
                Path(cgroup, "cgroup.procs").write_text(str(os.getpid()))
            enter(name)
            result: Any = work(*arguments)
        except OSError as error:
            result = errno.errorcode.get(error.errno or 0, str(error))
        except BaseException:  # noqa: BLE001 - a child must not run on into its parent's code
            result = traceback.format_exc()
        os.write(write, json.dumps(result).encode())
        os._exit(0)
    os.close(write)
    raw = b""
    while part := os.read(read, 65536):
        raw += part
    os.close(read)
    os.waitpid(child, 0)
    return json.loads(raw)


def spawn(name: str, work: Callable[..., None], *arguments: Any) -> int:
    """Returns when `work` has called its first argument: it listens."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            signal.signal(signal.SIGTERM, signal.SIG_DFL)
            enter(name)
            work(lambda: os.write(write, b"x"), *arguments)
        except BaseException:  # noqa: BLE001 - as above
            traceback.print_exc()
        os._exit(1)
    os.close(write)
    os.read(read, 1)
    os.close(read)
    return child


def offload_off(interface: str) -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        for command in (ETHTOOL_STSO, ETHTOOL_STXCSUM):
            value = array.array("B", struct.pack("=II", command, 0))
            request = struct.pack("16sP", interface.encode(), value.buffer_info()[0])
            fcntl.ioctl(sock, SIOCETHTOOL, request)


def build(no_offload: bool) -> dict[str, int]:
    """The namespaces; returns the node's interface towards each."""
    for name in (NODE, POD_A, POD_B, WORLD):
        netns.create(name)
    indexes: dict[str, int] = {}
    with NetNS(NODE) as node:
        node.link("set", index=1, state="up")
        for name, host in ((POD_A, "ha"), (POD_B, "hb"), (WORLD, "up0")):
            node.link("add", ifname=host, kind="veth", peer={"ifname": "eth0", "net_ns_fd": name})
            index = node.link_lookup(ifname=host)[0]
            indexes[name] = index
            node.link("set", index=index, state="up")
            for gateway, length in zip(GATEWAY[name], (24, 64), strict=True):
                node.addr("add", index=index, address=gateway, prefixlen=length, **_nodad(gateway))
            with NetNS(name) as pod:
                pod.link("set", index=1, state="up")
                eth = pod.link_lookup(ifname="eth0")[0]
                pod.link("set", index=eth, state="up")
                for own, gateway, length in zip(IP[name], GATEWAY[name], (24, 64), strict=True):
                    pod.addr("add", index=eth, address=own, prefixlen=length, **_nodad(own))
                    pod.route("add", dst="default", gateway=gateway, family=_family(own))
            if no_offload:
                for where, interface in ((NODE, host), (name, "eth0")):
                    seen = within(where, offload_off, interface)
                    check(f"{interface} of {where.removeprefix('weft-smoke-')} offloads nothing", seen is None, seen)
    return indexes


def _nodad(address: str) -> dict[str, int]:
    return {"flags": 2} if ":" in address else {}


def _family(address: str) -> int:
    return socket.AF_INET6 if ":" in address else socket.AF_INET


def demolish() -> None:
    for name in (NODE, POD_A, POD_B, WORLD):
        if Path("/run/netns", name).exists():
            netns.remove(name)


# ---- what runs in them -----------------------------------------------------------------------------------------


def server(ready: Ready, ports: list[int]) -> None:
    """Answers with the peer's address; TCP and UDP."""
    poll = select.poll()
    sockets: dict[int, socket.socket] = {}
    for port in ports:
        for kind in (socket.SOCK_STREAM, socket.SOCK_DGRAM):
            sock = socket.socket(socket.AF_INET6, kind)
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            sock.bind(("::", port))
            if kind == socket.SOCK_STREAM:
                sock.listen(64)
            sockets[sock.fileno()] = sock
            poll.register(sock, select.POLLIN)
    ready()
    while True:
        for fd, _ in poll.poll():
            sock = sockets[fd]
            try:
                if sock.type == socket.SOCK_DGRAM:
                    _, peer = sock.recvfrom(2048)
                    sock.sendto(peer[0].encode(), peer)
                elif sock in listeners(sockets):
                    connection, peer = sock.accept()
                    connection.sendall(peer[0].encode() + b"\n")
                    sockets[connection.fileno()] = connection
                    poll.register(connection, select.POLLIN)
                elif (data := sock.recv(65536)) and data != BYE:
                    sock.sendall(data)
                else:
                    raise ConnectionResetError
            except OSError:
                poll.unregister(fd)
                sockets.pop(fd).close()


def listeners(sockets: dict[int, socket.socket]) -> list[socket.socket]:
    return [sock for sock in sockets.values() if sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)]


def proxy(ready: Ready, path: KernelDatapath) -> None:
    """The smallest transparent proxy: one upstream connection per client, in the client's name."""
    import threading

    def serve(listener: socket.socket, family: int) -> None:
        while True:
            client, peer = listener.accept()
            upstream = socket.socket(family)
            upstream.setsockopt(*transparent(family), 1)
            upstream.setsockopt(socket.SOL_IP, IP_BIND_ADDRESS_NO_PORT, 1)
            upstream.setsockopt(socket.SOL_SOCKET, SO_MARK, FROM_PROXY)
            try:
                upstream.bind((peer[0], 0))
                upstream.settimeout(PATIENCE_S)
                upstream.connect(client.getsockname())
                upstream.settimeout(None)
            except OSError as error:
                print("proxy: upstream", error, flush=True)
                client.close()
                continue
            for ends in ((client, upstream), (upstream, client)):
                threading.Thread(target=pump, args=ends, daemon=True).start()

    def pump(source: socket.socket, sink: socket.socket) -> None:
        try:
            while data := source.recv(65536):
                sink.sendall(data)
            sink.shutdown(socket.SHUT_WR)
        except OSError:
            for sock in (source, sink):
                try:
                    sock.shutdown(socket.SHUT_RDWR)
                except OSError:
                    continue

    made: list[socket.socket] = []
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        listener = socket.socket(family)
        made.append(listener)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.setsockopt(*transparent(family), 1)
        listener.bind((address, PROXY_PORT))
        listener.listen(256)
        threading.Thread(target=serve, args=(listener, family)).start()
    path.offer_listeners(made[0], made[1])
    ready()
    signal.pause()


def sshd(ready: Ready) -> None:
    """A listener of the node itself, on any address, at the port that pods' proxied connections go to."""
    listener = socket.create_server(("::", HTTP), family=socket.AF_INET6, dualstack_ipv6=True)
    ready()
    while True:
        connection, _ = listener.accept()
        with connection:
            connection.recv(100)
            connection.sendall(b"the node\n")


def transparent(family: int) -> tuple[int, int]:
    return (socket.SOL_IP, IP_TRANSPARENT) if family == socket.AF_INET else (socket.IPPROTO_IPV6, IPV6_TRANSPARENT)


def tcp(address: str, port: int) -> str:
    """The address that the server saw, after an echo; or the errno's name by `within`."""
    with socket.create_connection((address, port), PATIENCE_S) as sock:
        seen = b""
        while not seen.endswith(b"\n"):
            part = sock.recv(100)
            if not part:
                return "closed"
            seen += part
        blob = os.urandom(200_000)
        got = b""
        sock.setblocking(True)
        sock.settimeout(PATIENCE_S)
        sent = 0
        while len(got) < len(blob):
            if sent < len(blob):
                sent += sock.send(blob[sent : sent + 16384])
            got += sock.recv(65536) if sent - len(got) > 0 else b""
        return seen.decode().strip() if got == blob else "garbled"


def timed_tcp(address: str, port: int) -> list[Any]:
    """The outcome of a connection and its seconds. One that is refused late may have been held up on this machine: the
    best of a few tries counts."""
    best = once(address, port)
    for _ in range(5):
        if best[0] != "ECONNREFUSED" or best[1] < AT_ONCE_S:
            break
        best = min(best, once(address, port), key=lambda seen: float(seen[1]))
    return best


def once(address: str, port: int) -> list[Any]:
    start = time.monotonic()
    try:
        outcome = tcp(address, port)
    except OSError as error:
        outcome = errno.errorcode.get(error.errno or 0, type(error).__name__)
    return [outcome, time.monotonic() - start]


def connect_again(sock: socket.socket, to: tuple[str, int]) -> None:
    """The end of the connection before, from the same port, may be on its way still."""
    end = time.monotonic() + PATIENCE_S
    while True:
        try:
            return sock.connect(to)
        except OSError as error:
            if error.errno != errno.EADDRNOTAVAIL or time.monotonic() > end:
                raise
            time.sleep(0.01)


def greeting(address: str, port: int, source_port: int = 0) -> str:
    """The server's first line; it hangs up first, so the port is free in the client's namespace at once."""
    with socket.socket(_family(address)) as sock:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        sock.bind(("", source_port))
        sock.settimeout(PATIENCE_S)
        connect_again(sock, (address, port))
        sock.sendall(BYE)
        seen = b""
        while part := sock.recv(100):
            seen += part
        return seen.decode().strip()


def udp(address: str, port: int, connected: bool = True) -> list[Any]:
    with socket.socket(_family(address), socket.SOCK_DGRAM) as sock:
        sock.settimeout(PATIENCE_S)
        if connected:
            sock.connect((address, port))
            sock.send(b"x")
            return [sock.recv(100).decode(), sock.getpeername()[0]]
        sock.sendto(b"x", (address, port))
        data, peer = sock.recvfrom(100)
        return [data.decode(), peer[0], peer[1]]


def tcp_by_service(address: str, port: int) -> list[Any]:
    with socket.create_connection((address, port), PATIENCE_S) as sock:
        return [sock.recv(100).decode().strip(), *sock.getpeername()[:2]]


def netns_cookie() -> int:
    with socket.socket() as sock:
        return int(struct.unpack("=Q", sock.getsockopt(socket.SOL_SOCKET, SO_NETNS_COOKIE, 8))[0])


def mapped(address: str) -> str:
    return address if ":" in address else f"::ffff:{address}"


# ---- the agent's part ------------------------------------------------------------------------------------------


def write_maps(path: KernelDatapath, indexes: dict[str, int]) -> None:
    tables = path.tables
    path.configure(config())
    for number, (name, identity, policy) in enumerate(((POD_A, IDENTITY_A, SET_A), (POD_B, IDENTITY_B, SET_B)), 1):
        addresses = [ip_address(text) for text in IP[name]]
        cookie = within(name, netns_cookie)
        tables.endpoint.put(number, endpoint(indexes[name], policy, 1, identity, name, cookie))
        tables.endpoint_by_ifindex.put(indexes[name], number)
        tables.endpoint_by_netns.put(cookie, number)
        for address in addresses:
            tables.endpoint_by_address.put(AddressKey(address), number)
            prefix = ip_network(address)
            tables.ipcache.put(IpcacheKey(prefix), IpcacheEntry(identity, layouts.IPCACHE_LOCAL))
    for pair in GATEWAY.values():
        for text in pair:
            prefix = ip_network(text)
            tables.ipcache.put(IpcacheKey(prefix), IpcacheEntry(layouts.IDENTITY_HOST, layouts.IPCACHE_LOCAL))
    for text in ("::/0", "0.0.0.0/0"):
        tables.ipcache.put(IpcacheKey(ip_network(text)), IpcacheEntry(layouts.IDENTITY_WORLD))
    default = (PolicyStep(0, 0, layouts.POLICY_ALLOW | layouts.POLICY_DEFAULT),)
    nothing, allow = PolicyStep(0, 0, 0), layouts.POLICY_ALLOW
    for number in (SET_A, SET_B):
        write_chain(tables, number, layouts.DIR_EGRESS, default)
    write_chain(tables, SET_A, layouts.DIR_INGRESS, default)
    denied = (nothing, PolicyStep(TCP, 6666, layouts.POLICY_DENY, 7), PolicyStep(TCP, 6667, 0))
    write_chain(tables, SET_A, layouts.DIR_EGRESS, denied, IDENTITY_B)
    closed = [PolicyStep(UDP, 20000 + port, 0) for port in range(300)]  # so many that pages of pages are needed
    opened = (
        nothing,
        PolicyStep(TCP, HTTP, layouts.POLICY_HTTP_ALLOW, 2),
        PolicyStep(TCP, HTTP + 1, 0),
        PolicyStep(TCP, ALLOWED, allow, 1),
        PolicyStep(TCP, ALLOWED + 1, 0),
        PolicyStep(UDP, ALLOWED, allow, 1),
        PolicyStep(UDP, ALLOWED + 1, 0),
        *closed,
    )
    write_chain(tables, SET_B, layouts.DIR_INGRESS, opened)
    for index, (frontend, backend) in enumerate(zip(SERVICE_ADDRESS, IP[POD_B], strict=True)):
        tables.backend.put(100 + index, BackendEntry(ip_address(backend), ALLOWED))
        tables.service.put(ServiceKey(ip_address(frontend), 0, 0), ServiceEntry(0, 0, 0))
        for protocol in (TCP, UDP):
            tables.service.put(ServiceKey(ip_address(frontend), 80, protocol), ServiceEntry(42, 100 + index, 1))


def config(flags: int = layouts.CONFIG_PROXY_UP) -> NodeConfig:
    return NodeConfig(
        flags=flags,
        mark_mask=MASK,
        mark_to_proxy=TO_PROXY,
        mark_from_proxy=FROM_PROXY,
        mark_own_answer=OWN_ANSWER,
        proxy_port=PROXY_PORT,
        agent_port=AGENT_PORT,
        icmp_per_second=100,
        tcp_established_s=3600,
        tcp_opening_s=30,
        tcp_closing_s=10,
        udp_s=60,
        icmp_s=30,
        flows_per_pod=65536,
    )


def endpoint(ifindex: int, policy: int, epoch: int, identity: int, name: str, cookie: int) -> EndpointEntry:
    return EndpointEntry(
        ifindex=ifindex,
        policy_set=policy,
        epoch=epoch,
        flags=layouts.ENDPOINT_HAS_V4 | layouts.ENDPOINT_HAS_V6,
        identity4=identity,
        identity6=identity,
        addr4=ip_address(IP[name][0]),
        addr6=ip_address(IP[name][1]),
        netns_cookie=cookie,
    )


def write_chain(
    tables: Tables, number: int, direction: int, chain: tuple[PolicyStep, ...], identity: int = layouts.IDENTITY_ANY
) -> None:
    part = {(direction, page): held for page, held in pages_of(chain).items()}
    tables.policy.put_many(keys_of(number, identity, part))


# ---- the checks ------------------------------------------------------------------------------------------------


def flows(cgroup: str) -> None:
    for family in (0, 1):
        label = "IPv6" if family else "IPv4"
        a, b = IP[POD_A][family], IP[POD_B][family]
        world = IP[WORLD][family]
        for source, address in ((POD_A, a), (WORLD, world)):
            who = f"{label} from {source.removeprefix('weft-smoke-')}"
            seen = within(source, timed_tcp, b, ALLOWED)
            check(f"{who}: allowed TCP arrives with its own address", seen[0] == mapped(address), seen)
            seen = within(source, timed_tcp, b, DENIED)
            check(f"{who}: denied TCP is refused at once", seen[0] == "ECONNREFUSED" and seen[1] < AT_ONCE_S, seen)
            seen = within(source, timed_tcp, b, HTTP)
            check(f"{who}: through the proxy, with its own address", seen[0] == mapped(address), seen)
            seen = within(source, udp, b, ALLOWED)
            check(f"{who}: allowed UDP arrives", seen == [mapped(address), b], seen)
            seen = within(source, udp, b, DENIED)
            check(f"{who}: denied UDP is told at once", seen in ("EHOSTUNREACH", "EACCES"), seen)
        seen = within(POD_A, timed_tcp, world, ALLOWED)
        check(f"{label}: egress to the world", seen[0] == mapped(a), seen)
        seen = within(NODE, timed_tcp, b, DENIED)
        check(f"{label}: the node reaches its pods", seen[0] == mapped(GATEWAY[POD_B][family]), seen)
        seen = within(POD_A, timed_tcp, GATEWAY[POD_A][family], PROXY_PORT)
        check(f"{label}: the proxy's own port is closed to pods", seen[0] == "ECONNREFUSED", seen)
        seen = within(POD_A, timed_tcp, b, 6666)
        check(f"{label}: denied egress is refused in tc", seen[0] == "ECONNREFUSED" and seen[1] < AT_ONCE_S, seen)
        if cgroup:
            sockets(label, family, cgroup)


def reused() -> None:
    """The same source port again while the proxy's end of the last connection is in TIME_WAIT."""
    for family in (0, 1):
        for source in (POD_A, WORLD):
            label = f"IPv{6 if family else 4} from {source.removeprefix('weft-smoke-')}"
            seen = [within(source, greeting, IP[POD_B][family], HTTP, 3333) for _ in range(4)]
            check(f"{label}: a port can be used again at once", seen == [mapped(IP[source][family])] * 4, seen)
        seen = [within(POD_A, greeting, GATEWAY[POD_A][family], HTTP, 3333) for _ in range(2)]
        check(f"IPv{6 if family else 4}: a listener of the node keeps its connections", seen == ["the node"] * 2, seen)


def sockets(label: str, family: int, cgroup: str) -> None:
    a, b, service = IP[POD_A][family], IP[POD_B][family], SERVICE_ADDRESS[family]
    seen = within(POD_A, timed_tcp, b, 6666, cgroup=cgroup)
    check(f"{label}: denied egress fails in connect()", seen[0] == "EPERM", seen)
    seen = within(POD_A, tcp_by_service, service, 80, cgroup=cgroup)
    check(f"{label}: a service over TCP, peer name kept", seen == [mapped(a), service, 80], seen)
    seen = within(POD_A, udp, service, 80, cgroup=cgroup)
    check(f"{label}: a service over connected UDP", seen == [mapped(a), service], seen)
    seen = within(POD_A, udp, service, 80, False, cgroup=cgroup)
    check(f"{label}: a service over unconnected UDP", seen == [mapped(a), service, 80], seen)
    seen = within(POD_A, timed_tcp, service, 81, cgroup=cgroup)
    check(f"{label}: a service's other port is refused", seen[0] == "ECONNREFUSED", seen)
    if not family:
        seen = within(POD_A, tcp_by_service, mapped(service), 80, cgroup=cgroup)
        check("a v4-mapped socket reaches the service", seen[:1] == [mapped(a)], seen)
        seen = within(POD_A, timed_tcp, mapped(b), 6666, cgroup=cgroup)
        check("a v4-mapped socket is denied in connect()", seen[0] == "EPERM", seen)
    seen = within(POD_A, timed_tcp, service, 80)
    check(f"{label}: a service address past the socket hook is refused", seen[0] == "ECONNREFUSED", seen)


def held(address: str, port: int, go: int, sends: bool) -> Any:
    """Hold a connection open over a policy change. How long it took to end after the change, and how."""
    with socket.create_connection((address, port), PATIENCE_S) as sock:
        sock.recv(100)
        os.write(go, b"x")
        sock.settimeout(0.1)
        start = time.monotonic()
        while time.monotonic() - start < PATIENCE_S:
            try:
                if sends:
                    sock.send(b"tick")
                if not sock.recv(100):
                    return "closed"
            except TimeoutError:
                continue
            except OSError as error:
                return errno.errorcode[error.errno or 0]
        return "still open"


def change(path: KernelDatapath, indexes: dict[str, int]) -> None:
    """B's policy closes while connections live."""
    tables = path.tables
    cookie = within(POD_B, netns_cookie)
    for number, (port, what) in enumerate(((ALLOWED, "direct"), (HTTP, "proxied"))):
        for source in (POD_A, WORLD):
            read, write = os.pipe()
            result_read, result_write = os.pipe()
            child = os.fork()
            if child == 0:
                os.write(result_write, str(within(source, held, IP[POD_B][0], port, write, True)).encode())
                os._exit(0)
            os.close(result_write)
            os.read(read, 1)
            epoch = 10 + 2 * number + (source == WORLD)
            tables.endpoint.put(2, endpoint(indexes[POD_B], SET_CLOSED, epoch, IDENTITY_B, POD_B, cookie))
            seen = os.read(result_read, 1000).decode()
            os.waitpid(child, 0)
            ended = seen in ("ECONNRESET", "EPIPE") or (what == "proxied" and seen == "closed")
            check(f"a change of policy ends a live {what} connection from {source[11:]}", ended, seen)
            tables.endpoint.put(2, endpoint(indexes[POD_B], SET_B, epoch + 100, IDENTITY_B, POD_B, cookie))


def idle(path: KernelDatapath) -> None:
    """SOCK_DESTROY on a connection that says nothing."""
    read, write = os.pipe()
    result_read, result_write = os.pipe()
    child = os.fork()
    if child == 0:
        os.write(result_write, str(within(POD_A, held, IP[POD_B][0], ALLOWED, write, False)).encode())
        os._exit(0)
    os.close(result_write)
    os.read(read, 1)
    gone = False
    for key, entry in path.tables.conntrack.items():
        ended = entry.flags & (layouts.CT_RESET | layouts.CT_FIN_FORWARD)
        if key.endpoint == 1 and key.protocol == TCP and key.dport == ALLOWED and not ended and key.source.version == 4:
            gone |= sockdestroy.destroy(f"/run/netns/{POD_A}", TCP, key.source, key.sport, key.destination, key.dport)
    seen = os.read(result_read, 1000).decode()
    os.waitpid(child, 0)
    check("an idle connection is destroyed in the pod", gone and seen == "ECONNABORTED", (gone, seen))


def outage(path: KernelDatapath, proxy_pid: int) -> None:
    path.configure(config(flags=0))
    seen = within(POD_A, timed_tcp, IP[POD_B][0], HTTP)
    check("proxy declared down: refused at once", seen[0] == "ECONNREFUSED" and seen[1] < AT_ONCE_S, seen)
    path.configure(config())
    os.kill(proxy_pid, signal.SIGKILL)
    os.waitpid(proxy_pid, 0)
    for source in (POD_A, WORLD):
        seen = within(source, timed_tcp, IP[POD_B][0], HTTP)
        check(f"proxy gone, from {source[11:]}: refused, never past it", seen[0] == "ECONNREFUSED", seen)
    seen = within(POD_A, timed_tcp, IP[POD_B][0], ALLOWED)
    check("proxy gone: the rest goes on", seen[0] == mapped(IP[POD_A][0]), seen)


def records(path: KernelDatapath) -> None:
    events: list[FlowEvent] = []
    path.read_events(events.append, limit=100_000)
    denied = [one for one in events if one.reason == layouts.DROP_POLICY_DEFAULT and one.dport == DENIED]
    check("denials are recorded", bool(denied) and denied[0].endpoint == 2, len(events))
    redirected = [one for one in events if one.verdict == layouts.VERDICT_REDIRECT]
    check("hand-overs are recorded", {one.source.version for one in redirected} == {4, 6}, len(redirected))
    counters = path.counters()
    check("drops are counted", (layouts.DROP_POLICY_DEFAULT, layouts.DIR_INGRESS) in counters, counters)
    print("counters", {f"{layouts.DropReason(k[0]).name}/{k[1]}": v.packets for k, v in counters.items()})
    print("gauges", path.gauges())


def make_cgroup(base: str) -> str:
    if not base:
        with open("/proc/self/mounts", encoding="utf-8") as mounts:
            base = next((row.split()[1] for row in mounts if row.split()[2] == "cgroup2"), "")
    if base:
        Path(base, "weft-smoke").mkdir(exist_ok=True)
        return str(Path(base, "weft-smoke"))
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--bpffs", default="/sys/fs/bpf")
    parser.add_argument("--cgroup", default="")
    parser.add_argument("--no-offload", action="store_true")
    options = parser.parse_args()
    print(f"kernel {os.uname().release}", flush=True)
    path = KernelDatapath(INSTANCE, options.bpffs)
    children: list[int] = []
    cgroup = make_cgroup(options.cgroup)
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    demolish()
    try:
        start = time.monotonic()
        path.ensure_loaded()
        print(f"loaded in {time.monotonic() - start:.2f} s", flush=True)
        indexes = build(options.no_offload)
        enter(NODE)
        write_maps(path, indexes)
        path.prepare_node()
        for name in (POD_A, POD_B):
            path.attach_pod(indexes[name])
        path.attach_uplink(indexes[WORLD])
        if cgroup:
            path.attach_cgroup(cgroup)
            check("every hook is in place", not path.hooks_missing(pods=[indexes[POD_A]], uplinks=[indexes[WORLD]]))
        children.append(spawn(POD_B, server, [ALLOWED, HTTP, DENIED, 6666]))
        children.append(spawn(WORLD, server, [ALLOWED]))
        children.append(spawn(NODE, sshd))
        children.append(spawn(NODE, proxy, path))
        flows(cgroup)
        reused()
        change(path, indexes)
        idle(path)
        records(path)
        outage(path, children.pop())
    finally:
        for child in children:
            os.kill(child, signal.SIGKILL)
            os.waitpid(child, 0)
        path.uninstall()
        os.close(home)
        demolish()
        if cgroup:
            Path(cgroup).rmdir()
    print(f"{len(failures)} failed" if failures else "all hold")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
