"""`python -m agent.join`: gets or renews the node's certificate, then ends. A process of its own, because the library
for keys and requests is larger than the whole agent.

With a token: the controller's chain is fetched without trust, its CA is recognised by the hash in the token, and only
then, over TLS verified by that CA, is the secret shown. With a certificate at hand: renewal over mutual TLS, same key.
Writes node.key (once), node.crt, ca.crt and node.json (when it is valid) into the state directory, all 0600. Arguments
come as one JSON line on standard input, so that no secret stands in a process list. Exit 0, or 1 with one sentence.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
from dataclasses import dataclass, field
from hashlib import sha256
from pathlib import Path
from typing import Any

from agent.errors import AgentError, JoinRefused
from agent.files import write_atomic

SERVER_NAME = "weft-controller"
"""A name in the controller's certificate that does not depend on the address it is reached by."""
CONNECT_S = 5.0
CALL_S = 10.0


@dataclass(frozen=True, slots=True)
class Token:
    """NAME.SECRET.CAHASH; the secret is never printed."""

    presented: str = field(repr=False)
    ca_hash: str

    @classmethod
    def read(cls, text: str) -> Token:
        parts = text.strip().split(".")
        if len(parts) != 3 or len(parts[2]) != 64 or set(parts[2]) - set("0123456789abcdef"):
            raise JoinRefused("the join token is not of the form NAME.SECRET.CAHASH; make one with `weft token create`")
        return cls(f"{parts[0]}.{parts[1]}", parts[2])


def fetch_chain(host: str, port: int) -> list[bytes]:
    """The certificates (DER) that a TLS server presents. Nothing is trusted by this."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.minimum_version = ssl.TLSVersion.TLSv1_3
    context.set_alpn_protocols(["h2"])
    try:
        with (
            socket.create_connection((host, port), CONNECT_S) as connection,
            context.wrap_socket(connection, server_hostname=SERVER_NAME) as secured,
        ):
            # Public from Python 3.13 on (`get_unverified_chain`); the method beneath it is there since 3.10.
            inner: Any = getattr(secured, "_sslobj")  # noqa: B009
            return [bytes(ssl.PEM_cert_to_DER_cert(item.public_bytes())) for item in inner.get_unverified_chain() or ()]
    except (OSError, ValueError) as error:
        raise JoinRefused(f"no controller answers on {host}:{port} ({error}); is --controller right?") from error


def recognise(chain: list[bytes], token: Token, where: str) -> bytes:
    """PEM of the CA that the token names, out of the chain presented."""
    for certificate in chain:
        if sha256(certificate).hexdigest() == token.ca_hash:
            return ssl.DER_cert_to_PEM_cert(certificate).encode()
    raise JoinRefused(
        f"{where} is not the controller that made this join token: none of its {len(chain)} certificates is the CA "
        "that the token names; the secret was not shown to it"
    )


def key_of(path: Path) -> Any:
    """The node's key: made on the first call, never sent anywhere."""
    from cryptography.hazmat.primitives import serialization
    from cryptography.hazmat.primitives.asymmetric import ec

    if path.exists():
        try:
            return serialization.load_pem_private_key(path.read_bytes(), None)
        except ValueError as error:
            raise JoinRefused(
                f"{path} is damaged ({error}); remove it and the node's registration, and join again"
            ) from error
    key = ec.generate_private_key(ec.SECP256R1())
    write_atomic(
        path,
        key.private_bytes(serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()),
    )
    return key


def request_for(key: Any, node: str) -> bytes:
    """PKCS#10, DER."""
    from cryptography import x509
    from cryptography.hazmat.primitives import hashes, serialization
    from cryptography.x509.oid import NameOID

    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, node[:64])])
    request = x509.CertificateSigningRequestBuilder().subject_name(name).sign(key, hashes.SHA256())
    return request.public_bytes(serialization.Encoding.DER)


def call_join(target: str, credentials: Any, node: str, token: str, csr: bytes) -> tuple[bytes, bytes]:
    """The Join call; the reason of a refusal becomes the error."""
    import grpc

    from mesh.api import mesh_pb2 as pb
    from mesh.api import mesh_pb2_grpc

    options = (("grpc.ssl_target_name_override", SERVER_NAME), ("grpc.enable_http_proxy", 0))
    with grpc.secure_channel(target, credentials, options) as channel:
        try:
            stub: Any = mesh_pb2_grpc.MeshStub(channel)  # type: ignore[no-untyped-call]  # generated without types
            reply = stub.Join(pb.JoinRequest(node=node, token=token, csr=csr), timeout=CALL_S)
        except grpc.RpcError as error:
            code, details = error.code(), error.details()
            if "CERTIFICATE_VERIFY_FAILED" in (details or ""):
                raise JoinRefused(
                    f"{target} is not the controller: its certificate is not signed by the CA that this node was told "
                    "to trust; the secret was not shown to it"
                ) from error
            if code in (grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED):
                raise JoinRefused(f"no controller answers on {target} ({details})") from error
            raise JoinRefused(f"the controller refused node {node}: {details}") from error
    return bytes(reply.certificate), bytes(reply.trust_bundle)


def validity(pem: bytes) -> dict[str, float]:
    from cryptography import x509

    leaf = x509.load_pem_x509_certificate(pem)
    return {"notBefore": leaf.not_valid_before_utc.timestamp(), "notAfter": leaf.not_valid_after_utc.timestamp()}


def join(*, node: str, host: str, port: int, state: Path, token: str | None) -> None:
    """Join on the port after the sync port, or renew on the sync port itself."""
    import grpc

    key = key_of(state / "node.key")
    csr = request_for(key, node)
    target = f"[{host}]" if ":" in host else host
    if token is not None:
        held = Token.read(token)
        ca = recognise(fetch_chain(host, port + 1), held, f"{target}:{port + 1}")
        credentials = grpc.ssl_channel_credentials(root_certificates=ca)
        certificate, bundle = call_join(f"{target}:{port + 1}", credentials, node, held.presented, csr)
        if not any(sha256(ssl.PEM_cert_to_DER_cert(pem)).hexdigest() == held.ca_hash for pem in _split(bundle)):
            raise JoinRefused("the trust bundle in the answer does not hold the CA that the join token names")
    else:
        credentials = grpc.ssl_channel_credentials(
            root_certificates=(state / "ca.crt").read_bytes(),
            private_key=(state / "node.key").read_bytes(),
            certificate_chain=(state / "node.crt").read_bytes(),
        )
        certificate, bundle = call_join(f"{target}:{port}", credentials, node, "", csr)
    about = {"node": node, **validity(certificate)}
    write_atomic(state / "ca.crt", bundle)
    write_atomic(state / "node.crt", certificate)
    write_atomic(state / "node.json", json.dumps(about).encode())


def _split(bundle: bytes) -> list[str]:
    end = "-----END CERTIFICATE-----"
    return [part.strip() + "\n" + end + "\n" for part in bundle.decode("ascii", "replace").split(end) if part.strip()]


def main() -> int:
    try:
        given = json.loads(sys.stdin.readline())
        join(
            node=given["node"],
            host=given["host"],
            port=given["port"],
            state=Path(given["state"]),
            token=given["token"],
        )
    except AgentError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"cannot use the state directory: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
