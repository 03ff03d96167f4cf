"""The node's certificate from the agent's side: is there one, until when, and who fetches the next (`agent.join`)."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from dataclasses import dataclass
from pathlib import Path

from agent.errors import JoinRefused
from mesh.journal import line

log = logging.getLogger("credentials")

JOIN_S = 30.0
RETRY_S = 5.0


@dataclass(frozen=True, slots=True)
class Validity:
    """When the certificate is good."""

    node: str
    not_before: float
    not_after: float

    @property
    def renew_at(self) -> float:
        """Half of its life."""
        return self.not_before + (self.not_after - self.not_before) / 2


@dataclass(frozen=True, slots=True)
class Credentials:
    """PEM texts for mutual TLS. Never printed."""

    key: bytes
    certificate: bytes
    trust_bundle: bytes

    def __repr__(self) -> str:
        return "Credentials(...)"


class NodeCertificate:
    def __init__(self, state: Path, *, node: str, host: str, port: int, token_file: Path | None) -> None:
        self._state = state
        self._node = node
        self._host = host
        self._port = port
        self._token_file = token_file

    def validity(self) -> Validity | None:
        """Of the certificate at hand; None where there is none that could be used."""
        try:
            about = json.loads((self._state / "node.json").read_text())
            found = Validity(str(about["node"]), float(about["notBefore"]), float(about["notAfter"]))
        except (OSError, ValueError, KeyError, TypeError):
            return None
        whole = all((self._state / name).exists() for name in ("node.key", "node.crt", "ca.crt"))
        return found if whole and found.node == self._node else None

    def read(self) -> Credentials:
        parts = [(self._state / name).read_bytes() for name in ("node.key", "node.crt", "ca.crt")]
        return Credentials(*parts)

    async def ensure(self, now: float | None = None) -> Credentials:
        """A certificate that is valid now: the one at hand, renewed from half its life on, else a new one by token."""
        now = time.time() if now is None else now
        held = self.validity()
        if held is None or held.not_after <= now:
            await self._join(self._token())
        elif held.renew_at <= now:
            try:
                await self._join(None)
            except JoinRefused:
                if self._token_file is None or held.not_after - now > RETRY_S:
                    return self.read()
                await self._join(self._token())
        return self.read()

    def _token(self) -> str:
        if self._token_file is None:
            raise JoinRefused(f"node {self._node} has no valid certificate in {self._state} and no --join-token-file")
        try:
            mode = self._token_file.stat().st_mode & 0o777
            if mode & 0o077:
                # Not refused: a Secret that is mounted into a container is often so, and nobody else is in there.
                told = line("others than root can read the join token", file=self._token_file, mode=f"{mode:o}")
                log.warning("%s", told)
            return self._token_file.read_text().strip()
        except OSError as error:
            raise JoinRefused(f"cannot read --join-token-file {self._token_file}: {error.strerror}") from error

    async def _join(self, token: str | None) -> None:
        asked = {
            "node": self._node,
            "host": self._host,
            "port": self._port,
            "state": str(self._state),
            "token": token,
        }
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "agent.join",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.DEVNULL,
            stderr=asyncio.subprocess.PIPE,
            env={
                **os.environ,
                "PYTHONPATH": os.pathsep.join(path for path in sys.path if path),
                "GRPC_VERBOSITY": "NONE",
                "GRPC_SSL_CIPHER_SUITES": "ECDHE-RSA-AES128-GCM-SHA256",
            },
        )
        try:
            async with asyncio.timeout(JOIN_S):
                _, complaint = await process.communicate(json.dumps(asked).encode() + b"\n")
        except TimeoutError as error:
            raise JoinRefused(f"joining took longer than {JOIN_S:.0f} s") from error
        finally:
            if process.returncode is None:
                process.kill()
                await process.wait()
        if process.returncode != 0:
            lines = complaint.decode(errors="replace").strip().splitlines()
            raise JoinRefused(lines[-1] if lines else f"agent.join ended with status {process.returncode}")
