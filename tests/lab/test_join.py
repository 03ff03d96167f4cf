"""Who may become a node, and who may speak to the controller: each refusal has its reason, on both sides.

A real controller process on loopback and the real `python -m agent.join`; test_claim.py has a whole agent. No refusal
registers a node, disturbs one, or shows the secret of a token to somebody who is not the controller.
"""

from __future__ import annotations

import os
import socket
import ssl
import threading
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path

import grpc
import pytest

from controller.ca.authority import Authority, KeyAndCertificate
from tests.support import controlplane, machine
from tests.support.controlplane import ControllerProcess
from tests.support.nodeclient import NodeClient, join
from tests.support.ports import free_port

LOOPBACK = ip_address("127.0.0.1")


@pytest.fixture(scope="module")
def control(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ControllerProcess]:
    if os.geteuid() != 0:
        pytest.fail("these tests need root: they start the controller as its users do, and commands as others")
    with controlplane.controller(tmp_path_factory.mktemp("control")) as running:
        yield running


def refusals(control: ControllerProcess) -> float:
    return control.metric('weft_controller_joins_total{outcome="refused"}')


def nodes(control: ControllerProcess) -> list[str]:
    return [row["name"] for row in control.status()["nodes"]]


def wrong_secret(control: ControllerProcess) -> str:
    name, _, ca_hash = control.token().split(".")
    return f"{name}.{'0' * 32}.{ca_hash}"


def unknown_name(control: ControllerProcess) -> str:
    _, secret, ca_hash = control.token().split(".")
    return f"zzzzzz.{secret}.{ca_hash}"


def expired(control: ControllerProcess) -> str:
    token = control.token("--ttl", "1s")
    time.sleep(1.1)
    return token


def revoked(control: ControllerProcess) -> str:
    token = control.token()
    control.weft("token", "delete", token.split(".")[0])
    return token


def of_another_node(control: ControllerProcess) -> str:
    return control.token("--node", "somebody-else")


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (wrong_secret, "is not known or its secret is wrong"),
        (unknown_name, "is not known or its secret is wrong"),
        (expired, "has expired"),
        (revoked, "is not known or its secret is wrong"),
        (of_another_node, "is good for node somebody-else only, not for guest"),
    ],
)
def test_a_wrong_token_is_refused_by_name(
    control: ControllerProcess, tmp_path: Path, make: object, reason: str
) -> None:
    assert callable(make)
    token = make(control)
    before = refusals(control)
    done = join("guest", control.port, token, tmp_path)
    name, secret, _ = token.split(".")
    assert (done.status, done.out) == (1, "")
    assert f"the controller refused node guest: join token {name} {reason}" in done.err
    assert len(done.err.splitlines()) == 1
    assert refusals(control) == before + 1
    assert f"join of node 'guest' refused: join token {name} {reason}" in control.log
    assert secret not in done.err + control.log
    assert "guest" not in nodes(control)
    assert not (tmp_path / "node.crt").exists()


@pytest.mark.parametrize("token", ["", "abc", "abc.def", "abc.def.123", "a.b.c.d"])
def test_what_is_no_token_is_not_sent(control: ControllerProcess, tmp_path: Path, token: str) -> None:
    before = refusals(control)
    done = join("guest", control.port, token, tmp_path)
    assert (done.status, refusals(control)) == (1, before)
    assert "not of the form NAME.SECRET.CAHASH; make one with `weft token create`" in done.err


# ---- somebody who is not the controller --------------------------------------------------------------------------


@dataclass
class Impostor:
    """Accepts TLS where nodes join, and keeps what they say."""

    port: int = 0
    heard: bytes = b""
    handshakes: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@contextmanager
def impostor(folder: Path, identity: KeyAndCertificate, chain: Sequence[bytes]) -> Iterator[Impostor]:
    (folder / "chain.pem").write_bytes(b"".join(chain))
    (folder / "key.pem").write_bytes(identity.key)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(folder / "chain.pem", folder / "key.pem")
    context.set_alpn_protocols(["h2"])
    first = free_port(2)
    found = Impostor(port=first)
    listener = socket.create_server(("127.0.0.1", first + 1))

    def serve() -> None:
        while True:
            try:
                plain, _ = listener.accept()
                plain.settimeout(60)
                with context.wrap_socket(plain, server_side=True) as secured:
                    with found.lock:
                        found.handshakes += 1
                    while piece := secured.recv(65536):
                        with found.lock:
                            found.heard += piece
            except (ssl.SSLError, ConnectionError, TimeoutError):
                continue
            except OSError:
                return

    thread = threading.Thread(target=serve)
    thread.start()
    try:
        yield found
    finally:
        listener.shutdown(socket.SHUT_RDWR)
        listener.close()
        thread.join()


def test_a_controller_that_is_not_the_token_s_never_hears_of_it(control: ControllerProcess, tmp_path: Path) -> None:
    name, secret, _ = control.token().split(".")
    before, log = refusals(control), control.log
    done = join("guest", control.port, f"{name}.{secret}.{'0' * 64}", tmp_path)
    assert done.status == 1
    assert "is not the controller that made this join token" in done.err
    assert "the secret was not shown to it" in done.err
    assert (refusals(control), control.log) == (before, log)


def test_an_impostor_with_its_own_ca_is_not_shown_the_secret(control: ControllerProcess, tmp_path: Path) -> None:
    other = Authority.load(tmp_path / "other", "cluster.local", datetime.now(UTC))
    identity = other.issue_server([LOOPBACK], datetime.now(UTC))
    token = control.token()
    with impostor(tmp_path, identity, [identity.certificate]) as found:
        done = join("guest", found.port, token, tmp_path)
    assert done.status == 1
    assert "is not the controller that made this join token" in done.err
    assert (found.handshakes, found.heard) == (1, b"")


def test_an_impostor_that_shows_the_real_ca_is_not_shown_the_secret(control: ControllerProcess, tmp_path: Path) -> None:
    """The CA's certificate is public: what counts is who signed the server's own."""
    real = (control.folder / "state" / "ca.crt").read_bytes()
    other = Authority.load(tmp_path / "other", "cluster.local", datetime.now(UTC))
    identity = other.issue_server([LOOPBACK], datetime.now(UTC))
    leaf = identity.certificate.split(b"-----END CERTIFICATE-----")[0] + b"-----END CERTIFICATE-----\n"
    token = control.token()
    with impostor(tmp_path, identity, [leaf, real]) as found:
        done = join("guest", found.port, token, tmp_path)
    assert done.status == 1
    assert f"127.0.0.1:{found.port + 1} is not the controller" in done.err
    assert "not signed by the CA" in done.err
    assert found.handshakes >= 1
    assert token.split(".")[1].encode() not in found.heard
    assert not (tmp_path / "node.crt").exists()


# ---- the controller's own ports ----------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0, 1], ids=["sync", "join"])
def test_tls_1_2_is_refused(control: ControllerProcess, tmp_path: Path, offset: int) -> None:
    """With the certificate of a node, so that nothing but the version can be the reason."""
    node = NodeClient.joined(f"tls-{offset}", control, tmp_path)

    def handshake(version: ssl.TLSVersion) -> str | None:
        context = ssl.create_default_context(cafile=node.state / "ca.crt")
        context.check_hostname = False
        context.load_cert_chain(node.state / "node.crt", node.state / "node.key")
        context.minimum_version = context.maximum_version = version
        context.set_alpn_protocols(["h2"])
        with (
            socket.create_connection(("127.0.0.1", control.port + offset), 60) as plain,
            context.wrap_socket(plain) as secured,
        ):
            return secured.version()

    with pytest.raises(ssl.SSLError):
        handshake(ssl.TLSVersion.TLSv1_2)
    assert handshake(ssl.TLSVersion.TLSv1_3) == "TLSv1.3"


@pytest.mark.parametrize("offset", [0, 1], ids=["sync", "join"])
def test_plaintext_is_refused(control: ControllerProcess, tmp_path: Path, offset: int) -> None:
    guest = NodeClient.unknown("guest", control.port + offset, tmp_path)
    with pytest.raises(grpc.RpcError) as refused:
        guest.renew(credentials=None)
    assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "guest" not in nodes(control)


def test_nobody_without_a_certificate_of_this_ca_is_heard(control: ControllerProcess, tmp_path: Path) -> None:
    guest = NodeClient.unknown("guest", control.port, tmp_path)
    other = Authority.load(tmp_path / "other", "cluster.local", datetime.now(UTC))
    strange = other.issue_server([LOOPBACK], datetime.now(UTC))
    ca = (control.folder / "state" / "ca.crt").read_bytes()
    for credentials in (
        grpc.ssl_channel_credentials(ca),
        grpc.ssl_channel_credentials(ca, strange.key, strange.certificate),
    ):
        with pytest.raises(grpc.RpcError) as refused:
            guest.renew(credentials=credentials)
        assert refused.value.code() is grpc.StatusCode.UNAVAILABLE
    assert "guest" not in nodes(control)


def test_the_admin_socket_is_for_root(control: ControllerProcess) -> None:
    for command in (["status"], ["token", "create"], ["apply", "-f", "-"]):
        done = control.weft(*command, how=machine.AS_NOBODY, stdin="")
        assert (done.status, done.out) == (3, "")
        assert "permission denied; the socket is for root, run this as root" in done.err
        assert len(done.err.splitlines()) == 1
    assert control.admin_socket.stat().st_mode & 0o777 == 0o600


# ---- nodes that have joined ------------------------------------------------------------------------------------------


def test_a_certificate_is_good_for_its_own_node_alone(control: ControllerProcess, tmp_path: Path) -> None:
    first = NodeClient.joined("first", control, tmp_path / "first")
    second = NodeClient.joined("second", control, tmp_path / "second")
    before = control.metric('weft_controller_streams_total{outcome="refused"}')
    with first.stream() as stream:
        assert [stream.hear(), stream.hear()] == ["welcome", "snapshot"]
        with second.stream(hello_as="first") as false:
            reason = "the certificate is that of node second, the hello says 'first'"
            assert (false.hear(), false.refusal) == ("refused", reason)
        assert f"stream refused: {reason}" in control.log
        assert control.metric('weft_controller_streams_total{outcome="refused"}') == before + 1
        with pytest.raises(grpc.RpcError) as refused:
            second.renew(name="first")
        assert refused.value.code() is grpc.StatusCode.PERMISSION_DENIED
        assert refused.value.details() == "the certificate shown is that of node second, not of first"
        # The first one is still spoken to.
        stream.ack()
        namespace = "apiVersion: v1\nkind: Namespace\nmetadata: {name: news}\n"
        assert control.weft("apply", "-f", "-", stdin=namespace).status == 0
        assert stream.hear() == "delta"
