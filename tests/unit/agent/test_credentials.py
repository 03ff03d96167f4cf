"""When a certificate is fetched, and how."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from agent.credentials import NodeCertificate, Validity
from agent.errors import JoinRefused


class Recorded(NodeCertificate):
    """Records joins instead of making them."""

    refuse = False
    asked: list[str | None]

    async def _join(self, token: str | None) -> None:
        self.asked.append(token)
        if self.refuse and token is None:
            raise JoinRefused("no")
        write(self._state, 0.0, 10_000.0)


def write(state: Path, not_before: float, not_after: float, node: str = "node-1") -> None:
    for name in ("node.key", "node.crt", "ca.crt"):
        (state / name).write_text(name)
    (state / "node.json").write_text(json.dumps({"node": node, "notBefore": not_before, "notAfter": not_after}))


def made(state: Path, *, token: str | None = "a.b.c") -> Recorded:
    path = None
    if token is not None:
        path = state / "token"
        path.touch(mode=0o600)
        path.write_text(token + "\n")
    found = Recorded(state, node="node-1", host="127.0.0.1", port=1, token_file=path)
    found.asked = []
    return found


def test_without_a_certificate_the_token_is_used(tmp_path: Path) -> None:
    certificate = made(tmp_path)
    credentials = asyncio.run(certificate.ensure(now=1.0))
    assert certificate.asked == ["a.b.c"]
    assert credentials.certificate == b"node.crt"
    assert "node" not in repr(credentials)


def test_a_token_that_others_can_read_is_warned_about(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    asyncio.run(made(tmp_path).ensure(now=1.0))
    assert caplog.messages == []
    certificate = made(tmp_path)
    (tmp_path / "token").chmod(0o644)
    asyncio.run(certificate.ensure(now=20_000.0))
    assert [f"file={tmp_path}/token mode=644" in said for said in caplog.messages] == [True]
    assert "a.b.c" not in caplog.text


def test_a_valid_certificate_is_used_as_it_is(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 100.0)
    certificate = made(tmp_path)
    asyncio.run(certificate.ensure(now=49.0))
    assert certificate.asked == []


def test_from_half_its_life_on_it_is_renewed_without_the_token(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 100.0)
    certificate = made(tmp_path)
    asyncio.run(certificate.ensure(now=50.0))
    assert certificate.asked == [None]


def test_a_renewal_that_fails_leaves_the_old_one_in_use_until_the_end(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 100.0)
    certificate = made(tmp_path)
    certificate.refuse = True
    asyncio.run(certificate.ensure(now=60.0))
    assert certificate.asked == [None]
    asyncio.run(certificate.ensure(now=98.0))
    assert certificate.asked == [None, None, "a.b.c"]


def test_an_expired_one_and_one_of_another_node_need_the_token(tmp_path: Path) -> None:
    write(tmp_path, 0.0, 100.0)
    assert Validity("n", 0.0, 100.0).renew_at == 50.0
    certificate = made(tmp_path)
    asyncio.run(certificate.ensure(now=101.0))
    write(tmp_path, 0.0, 100.0, node="node-2")
    asyncio.run(certificate.ensure(now=1.0))
    assert certificate.asked == ["a.b.c", "a.b.c"]


def test_no_token_file_is_said(tmp_path: Path) -> None:
    with pytest.raises(JoinRefused, match="--join-token-file"):
        asyncio.run(made(tmp_path, token=None).ensure(now=1.0))


def test_the_process_that_joins_hands_its_sentence_on(tmp_path: Path) -> None:
    token = tmp_path / "token"
    token.write_text("nonsense")
    certificate = NodeCertificate(tmp_path, node="node-1", host="127.0.0.1", port=1, token_file=token)
    with pytest.raises(JoinRefused, match=r"NAME\.SECRET\.CAHASH"):
        asyncio.run(certificate.ensure(now=1.0))
