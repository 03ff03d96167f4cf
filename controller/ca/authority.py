"""The certificate authority of controller and nodes: an ECDSA P-256 root, and what it signs.

The root's key is made on the first start and stays in the state directory, readable for its owner alone. Everything it
signs names its holder by one SPIFFE ID: `spiffe://TD/weft/controller`, `spiffe://TD/weft/node/NAME`. Nodes send a
signing request, so their keys never leave them.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from hashlib import sha256
from ipaddress import ip_address
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from controller.errors import ControllerError, JoinRefused
from mesh.model import Address

ROOT_LIFETIME = timedelta(days=3650)
SERVER_LIFETIME = timedelta(days=30)
_SKEW = timedelta(minutes=5)
"""Certificates begin this much in the past: the clocks of two machines differ."""
SERVER_NAME = "weft-controller"
_NODE_PATH = "/weft/node/"


@dataclass(frozen=True, slots=True)
class KeyAndCertificate:
    """What a TLS server needs, as PEM."""

    key: bytes = field(repr=False)
    certificate: bytes
    """Leaf first, then the root: a node that joins finds the root by the hash in its token."""
    expires: datetime


@dataclass(frozen=True, slots=True)
class NodePeer:
    """A node, as its certificate names it. The certificate's chain was verified by the TLS library."""

    node: str
    key_hash: str
    expires: datetime


@dataclass(frozen=True, slots=True)
class SigningRequest:
    """A node's request, after its signature and key type were checked."""

    key: ec.EllipticCurvePublicKey
    key_hash: str


class Authority:
    """The root and its key. `load` makes them when they are not there."""

    def __init__(self, key: ec.EllipticCurvePrivateKey, certificate: x509.Certificate, trust_domain: str) -> None:
        self._key = key
        self._certificate = certificate
        self.trust_domain = trust_domain

    @classmethod
    def load(cls, state: Path, trust_domain: str, now: datetime) -> Authority:
        """The authority of this state directory. Raises ControllerError where its files cannot be used."""
        key_path, certificate_path = state / "ca.key", state / "ca.crt"
        try:
            if not key_path.exists():
                state.mkdir(mode=0o700, parents=True, exist_ok=True)
                _write(certificate_path, key_path, *_make_root(trust_domain, now))
            key = serialization.load_pem_private_key(key_path.read_bytes(), None)
            certificate = x509.load_pem_x509_certificate(certificate_path.read_bytes())
        except (OSError, ValueError) as error:
            raise ControllerError(f"certificate authority in {state}: {error}; restore ca.key and ca.crt") from error
        if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
            raise ControllerError(f"certificate authority in {state}: ca.key is not the key of ca.crt; restore both")
        return cls(key, certificate, _uri(certificate).removeprefix("spiffe://"))

    @property
    def bundle(self) -> bytes:
        """PEM of the root: what both sides verify against."""
        return self._certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def hash(self) -> str:
        """SHA-256 of the root's DER, hexadecimal: the last part of a join token."""
        return sha256(self._certificate.public_bytes(serialization.Encoding.DER)).hexdigest()

    def issue_server(self, addresses: Iterable[Address], now: datetime) -> KeyAndCertificate:
        """A certificate for the controller itself, with a key of its own."""
        key = ec.generate_private_key(ec.SECP256R1())
        names: list[x509.GeneralName] = [
            x509.UniformResourceIdentifier(f"spiffe://{self.trust_domain}/weft/controller"),
            x509.DNSName(SERVER_NAME),
            x509.DNSName("localhost"),
        ]
        loopback = [ip_address("127.0.0.1"), ip_address("::1")]
        named = dict.fromkeys([*addresses, *loopback])
        names += [x509.IPAddress(address) for address in named if not address.is_unspecified]
        leaf = self._sign(key.public_key(), names, ExtendedKeyUsageOID.SERVER_AUTH, now, SERVER_LIFETIME)
        return KeyAndCertificate(
            _key_pem(key), leaf.public_bytes(serialization.Encoding.PEM) + self.bundle, leaf.not_valid_after_utc
        )

    def issue_node(self, node: str, request: SigningRequest, lifetime: timedelta, now: datetime) -> bytes:
        """PEM of a certificate for the node, leaf first."""
        name = x509.UniformResourceIdentifier(f"spiffe://{self.trust_domain}{_NODE_PATH}{node}")
        leaf = self._sign(request.key, [name], ExtendedKeyUsageOID.CLIENT_AUTH, now, lifetime)
        return leaf.public_bytes(serialization.Encoding.PEM)

    def node_peer(self, pem: bytes) -> NodePeer | None:
        """Who a verified client certificate belongs to; None where it is no node of this trust domain."""
        try:
            certificate = x509.load_pem_x509_certificate(pem)
            prefix = f"spiffe://{self.trust_domain}{_NODE_PATH}"
            uri = _uri(certificate)
        except ValueError:
            return None
        if not uri.startswith(prefix):
            return None
        key_hash = _key_hash(
            certificate.public_key().public_bytes(
                serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
            )
        )
        return NodePeer(uri.removeprefix(prefix), key_hash, certificate.not_valid_after_utc)

    def _sign(
        self,
        key: ec.EllipticCurvePublicKey,
        names: list[x509.GeneralName],
        usage: x509.ObjectIdentifier,
        now: datetime,
        lifetime: timedelta,
    ) -> x509.Certificate:
        return (
            x509.CertificateBuilder()
            # The name is in the SAN (critical, because the subject is empty: RFC 5280, 4.1.2.6).
            .subject_name(x509.Name([]))
            .issuer_name(self._certificate.subject)
            .public_key(key)
            .serial_number(x509.random_serial_number())
            .not_valid_before(now - _SKEW)
            .not_valid_after(min(now + lifetime, self._certificate.not_valid_after_utc))
            .add_extension(x509.SubjectAlternativeName(names), critical=True)
            .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
            .add_extension(_key_usage(signs_certificates=False), critical=True)
            .add_extension(x509.ExtendedKeyUsage([usage]), critical=False)
            .add_extension(x509.SubjectKeyIdentifier.from_public_key(key), critical=False)
            .add_extension(x509.AuthorityKeyIdentifier.from_issuer_public_key(self._key.public_key()), critical=False)
            .sign(self._key, hashes.SHA256())
        )


def read_request(der: bytes) -> SigningRequest:
    """A PKCS#10 request whose signer holds the key it names. Raises JoinRefused."""
    try:
        request = x509.load_der_x509_csr(der)
        valid = request.is_signature_valid
        key = request.public_key()
    except Exception as error:  # the library raises many kinds for hostile input; all mean the same here
        raise JoinRefused(f"the signing request cannot be read ({type(error).__name__})") from error
    if not valid:
        raise JoinRefused("the signing request is not signed by its own key")
    if not isinstance(key, ec.EllipticCurvePublicKey) or not isinstance(key.curve, ec.SECP256R1):
        raise JoinRefused("the signing request must be for an ECDSA P-256 key")
    encoded = key.public_bytes(serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo)
    return SigningRequest(key, _key_hash(encoded))


def _make_root(trust_domain: str, now: datetime) -> tuple[x509.Certificate, ec.EllipticCurvePrivateKey]:
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "weft"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"weft root of {trust_domain}"[:64]),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - _SKEW)
        .not_valid_after(now + ROOT_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_key_usage(signs_certificates=True), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.UniformResourceIdentifier(f"spiffe://{trust_domain}")]), critical=False
        )
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    return certificate, key


def _key_usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates, key_cert_sign=signs_certificates, crl_sign=signs_certificates,
        content_commitment=False, key_encipherment=False, data_encipherment=False, key_agreement=False,
        encipher_only=False, decipher_only=False,
    )  # fmt: skip


def _write(
    certificate_path: Path, key_path: Path, certificate: x509.Certificate, key: ec.EllipticCurvePrivateKey
) -> None:
    """The certificate first: a crash between the two leaves no key, and the next start makes both anew."""
    for path, content in (
        (certificate_path, certificate.public_bytes(serialization.Encoding.PEM)),
        (key_path, _key_pem(key)),
    ):
        half = path.with_suffix(path.suffix + ".new")
        descriptor = os.open(half, os.O_CREAT | os.O_WRONLY | os.O_TRUNC | os.O_CLOEXEC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        half.replace(path)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _key_hash(subject_public_key_info: bytes) -> str:
    return sha256(subject_public_key_info).hexdigest()


def _uri(certificate: x509.Certificate) -> str:
    """The one URI name of a certificate; ValueError where it has none or several (SPIFFE X509-SVID, section 2)."""
    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except x509.ExtensionNotFound:
        raise ValueError("the certificate has no subject alternative name") from None
    uris = names.get_values_for_type(x509.UniformResourceIdentifier)
    if len(uris) != 1:
        raise ValueError(f"the certificate has {len(uris)} URI names instead of one")
    return str(uris[0])
