"""TLS's facts: the version of a call, whose certificate it is, and a server certificate that is renewed in time."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509

from controller.ca.authority import Authority, read_request
from controller.server_tls import ServerCertificate, is_tls13, node_peer
from tests.unit.controller.running import NodeKey

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def test_the_version_must_be_known_and_1_3() -> None:
    assert is_tls13({"ssl_tls_version": [b"TLSv1.3"]})
    assert not is_tls13({"ssl_tls_version": [b"TLSv1.2"]})
    assert not is_tls13({})


def test_a_node_is_known_by_one_certificate(tmp_path: Path) -> None:
    authority = Authority.load(tmp_path, "td", NOW)
    pem = authority.issue_node("n1", read_request(NodeKey("n1").csr), timedelta(hours=1), NOW)
    peer = node_peer({"x509_pem_cert": [pem]}, authority)
    assert peer is not None
    assert peer.node == "n1"
    assert node_peer({}, authority) is None
    assert node_peer({"x509_pem_cert": [pem, pem]}, authority) is None


def test_the_servers_certificate_is_renewed_at_half_of_its_life(tmp_path: Path) -> None:
    clock = [NOW]
    served = ServerCertificate(Authority.load(tmp_path, "td", NOW), [], lambda: clock[0])

    def serial() -> int:
        served._configuration(client_certificates=True)
        return x509.load_pem_x509_certificate(served._issued.certificate).serial_number

    first = serial()
    clock[0] += timedelta(days=14)
    assert serial() == first
    clock[0] += timedelta(days=2)
    assert serial() != first
