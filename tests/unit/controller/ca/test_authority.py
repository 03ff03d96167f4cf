"""The authority: what it signs, what it keeps, what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from controller.ca.authority import Authority, read_request
from controller.errors import ControllerError, JoinRefused

NOW = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority.load(tmp_path, "td.test", NOW)


def request(key: ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.DER)


def test_the_root_stays_the_same_and_its_key_private(tmp_path: Path, authority: Authority) -> None:
    again = Authority.load(tmp_path, "other.test", NOW)
    assert (again.hash, again.trust_domain) == (authority.hash, "td.test")
    assert oct((tmp_path / "ca.key").stat().st_mode & 0o777) == "0o600"
    der = x509.load_pem_x509_certificate(authority.bundle).public_bytes(serialization.Encoding.DER)
    assert authority.hash == sha256(der).hexdigest()


def test_the_servers_certificate_names_the_controller_and_brings_the_root(authority: Authority) -> None:
    issued = authority.issue_server([ip_address("10.1.2.3"), ip_address("0.0.0.0")], NOW)
    leaf, root = x509.load_pem_x509_certificates(issued.certificate)
    names = leaf.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert names.get_values_for_type(x509.UniformResourceIdentifier) == ["spiffe://td.test/weft/controller"]
    assert "weft-controller" in names.get_values_for_type(x509.DNSName)
    assert set(names.get_values_for_type(x509.IPAddress)) == {
        ip_address("10.1.2.3"),
        ip_address("127.0.0.1"),
        ip_address("::1"),
    }
    leaf.verify_directly_issued_by(root)
    assert issued.key not in repr(issued).encode()


def test_a_nodes_certificate_is_for_clients_and_short_lived(authority: Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = authority.issue_node("n1", read_request(request(key)), timedelta(hours=24), NOW)
    leaf = x509.load_pem_x509_certificate(pem)
    assert leaf.public_key() == key.public_key()
    assert leaf.not_valid_after_utc == NOW + timedelta(hours=24)
    usage = leaf.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    assert list(usage) == [ExtendedKeyUsageOID.CLIENT_AUTH]
    peer = authority.node_peer(pem)
    assert peer is not None
    assert (peer.node, peer.expires) == ("n1", leaf.not_valid_after_utc)
    assert peer.key_hash == read_request(request(key)).key_hash


def test_others_are_no_nodes(tmp_path: Path, authority: Authority) -> None:
    assert authority.node_peer(authority.issue_server([], NOW).certificate) is None
    assert authority.node_peer(b"garbage") is None
    foreign = Authority.load(tmp_path / "other", "foreign.test", NOW)
    key = ec.generate_private_key(ec.SECP256R1())
    assert authority.node_peer(foreign.issue_node("n1", read_request(request(key)), timedelta(hours=1), NOW)) is None


def test_a_request_must_be_whole_signed_by_its_key_and_of_the_right_kind() -> None:
    good = request(ec.generate_private_key(ec.SECP256R1()))
    with pytest.raises(JoinRefused, match="cannot be read"):
        read_request(b"garbage")
    with pytest.raises(JoinRefused, match="is not signed by its own key|cannot be read"):
        read_request(good[:-1] + bytes([good[-1] ^ 1]))
    with pytest.raises(JoinRefused, match="ECDSA P-256"):
        read_request(request(rsa.generate_private_key(65537, 2048)))
    with pytest.raises(JoinRefused, match="ECDSA P-256"):
        read_request(request(ec.generate_private_key(ec.SECP384R1())))


def test_a_key_that_is_not_the_roots_is_refused(tmp_path: Path, authority: Authority) -> None:
    Authority.load(tmp_path / "other", "td.test", NOW)
    (tmp_path / "ca.key").write_bytes((tmp_path / "other" / "ca.key").read_bytes())
    with pytest.raises(ControllerError, match="ca.key is not the key of ca.crt"):
        Authority.load(tmp_path, "td.test", NOW)
    (tmp_path / "ca.key").write_text("garbage")
    with pytest.raises(ControllerError, match="restore ca.key and ca.crt"):
        Authority.load(tmp_path, "td.test", NOW)
