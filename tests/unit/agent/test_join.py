"""Joining: what is checked before a secret is shown, and what a refusal says."""

from __future__ import annotations

import ssl
from hashlib import sha256
from pathlib import Path

import pytest
from cryptography import x509

from agent import join
from agent.errors import JoinRefused
from agent.join import Token, fetch_chain, key_of, recognise, request_for

CA = b"\x30\x03\x02\x01\x07"
HASH = sha256(CA).hexdigest()


@pytest.mark.parametrize("text", ["", "a.b", "a.b.c", f"a.b.{'g' * 64}", f"a.b.c.{HASH}"])
def test_what_is_no_token_is_refused(text: str) -> None:
    with pytest.raises(JoinRefused, match=r"NAME\.SECRET\.CAHASH"):
        Token.read(text)


def test_a_token_never_shows_its_secret() -> None:
    assert "secret" not in repr(Token.read(f"name.secret.{HASH}\n"))
    assert Token.read(f"name.secret.{HASH}\n").presented == "name.secret"


def test_the_ca_is_recognised_anywhere_in_the_chain() -> None:
    pem = recognise([b"leaf", CA], Token("n.s", HASH), "c:1")
    assert ssl.PEM_cert_to_DER_cert(pem.decode()) == CA


def test_a_controller_with_another_ca_is_refused_before_it_sees_the_secret() -> None:
    with pytest.raises(JoinRefused, match="the secret was not shown"):
        recognise([b"leaf", b"other"], Token("n.s", HASH), "c:1")


def test_nobody_there_is_said_with_the_flag_to_look_at() -> None:
    with pytest.raises(JoinRefused, match="--controller"):
        fetch_chain("127.0.0.1", 1)


def test_the_key_is_made_once_and_for_root_alone(tmp_path: Path) -> None:
    first = key_of(tmp_path / "node.key").private_numbers()
    assert key_of(tmp_path / "node.key").private_numbers() == first
    assert (tmp_path / "node.key").stat().st_mode & 0o777 == 0o600
    (tmp_path / "node.key").write_text("garbage")
    with pytest.raises(JoinRefused, match="damaged"):
        key_of(tmp_path / "node.key")


def test_the_request_is_signed_by_the_nodes_key(tmp_path: Path) -> None:
    request = x509.load_der_x509_csr(request_for(key_of(tmp_path / "node.key"), "node-1"))
    assert request.is_signature_valid


def answer_with(monkeypatch: pytest.MonkeyPatch, bundle: bytes) -> list[str]:
    shown: list[str] = []

    def call(target: str, credentials: object, node: str, token: str, csr: bytes) -> tuple[bytes, bytes]:
        shown.append(token)
        return b"cert", bundle

    monkeypatch.setattr(join, "fetch_chain", lambda host, port: [CA])
    monkeypatch.setattr(join, "call_join", call)
    monkeypatch.setattr(join, "validity", lambda pem: {"notBefore": 1.0, "notAfter": 2.0})
    return shown


def test_joining_writes_key_certificate_bundle_and_validity(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = answer_with(monkeypatch, ssl.DER_cert_to_PEM_cert(CA).encode())
    join.join(node="node-1", host="c", port=1, state=tmp_path, token=f"name.secret.{HASH}")
    assert shown == ["name.secret"]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["ca.crt", "node.crt", "node.json", "node.key"]
    assert all(path.stat().st_mode & 0o777 == 0o600 for path in tmp_path.iterdir())


def test_a_bundle_without_the_ca_of_the_token_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    answer_with(monkeypatch, ssl.DER_cert_to_PEM_cert(b"other").encode())
    with pytest.raises(JoinRefused, match="trust bundle"):
        join.join(node="node-1", host="c", port=1, state=tmp_path, token=f"name.secret.{HASH}")
    assert not (tmp_path / "ca.crt").exists()
