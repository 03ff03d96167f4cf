"""TLS of the servers that agents reach: TLS 1.3 only, certificates from our own CA.

gRPC's Python library can neither set a minimum version nor ask for optional client certificates. So joins have a port
of their own, and TLS 1.2 is offered with one cipher suite alone (`controller/__init__.py`), which needs an RSA
certificate: ours are ECDSA, so a client of TLS 1.2 finds no cipher in common. Each call checks the version once more.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime

import grpc

from controller.ca.authority import SERVER_LIFETIME, Authority, KeyAndCertificate, NodePeer
from mesh.model import Address

AuthContext = Mapping[str, Iterable[bytes]]


class ServerCertificate:
    """The controller's certificate; a new one is issued, for new connections, at half of its life."""

    def __init__(self, authority: Authority, addresses: Sequence[Address], now: Callable[[], datetime]) -> None:
        self._authority = authority
        self._addresses = addresses
        self._now = now
        self._issued: KeyAndCertificate = authority.issue_server(addresses, now())

    def credentials(self, *, client_certificates: bool) -> grpc.ServerCredentials:
        """With client certificates: required, and verified against our CA."""

        def configuration() -> grpc.ServerCertificateConfiguration:
            return self._configuration(client_certificates=client_certificates)

        return grpc.dynamic_ssl_server_credentials(configuration(), configuration, client_certificates)

    def _configuration(self, *, client_certificates: bool) -> grpc.ServerCertificateConfiguration:
        # gRPC asks at each handshake, on a thread of its own; issuing twice would do no harm.
        if self._issued.expires - self._now() < SERVER_LIFETIME / 2:
            self._issued = self._authority.issue_server(self._addresses, self._now())
        pair = (self._issued.key, self._issued.certificate)
        bundle = self._authority.bundle if client_certificates else None
        return grpc.ssl_server_certificate_configuration([pair], bundle)


def is_tls13(context: AuthContext) -> bool:
    return tuple(context.get("ssl_tls_version", ())) == (b"TLSv1.3",)


def node_peer(context: AuthContext, authority: Authority) -> NodePeer | None:
    """The node that a verified client certificate belongs to."""
    certificates = tuple(context.get("x509_pem_cert", ()))
    return authority.node_peer(certificates[0]) if len(certificates) == 1 else None
