"""Join tokens: NAME.SECRET.CAHASH.

The name finds the row, the secret proves that the bearer was let in, the hash of the CA's certificate lets a node check
the controller before it says the secret. The store keeps a hash of the secret only.
"""

from __future__ import annotations

import hmac
import re
import secrets
from dataclasses import dataclass, field
from hashlib import sha256

_NAME = re.compile(r"[a-z0-9]{6}")
_PRESENTED = re.compile(r"([a-z0-9]{6})\.([a-f0-9]{32})")
_ALPHABET = "abcdefghijklmnopqrstuvwxyz0123456789"


@dataclass(frozen=True, slots=True)
class Presented:
    """What a node shows: never printed with its secret."""

    name: str
    secret: str = field(repr=False)


def make(ca_hash: str) -> tuple[Presented, str]:
    """A new token: its parts, and the text to give away once."""
    name = "".join(secrets.choice(_ALPHABET) for _ in range(6))
    presented = Presented(name, secrets.token_hex(16))
    return presented, f"{presented.name}.{presented.secret}.{ca_hash}"


def read(text: str) -> Presented | None:
    """`NAME.SECRET`, as JoinRequest carries it; None where it is no token."""
    found = _PRESENTED.fullmatch(text)
    return Presented(found[1], found[2]) if found else None


def is_name(text: str) -> bool:
    return _NAME.fullmatch(text) is not None


def secret_hash(presented: Presented) -> str:
    """What the store keeps. The secret has 128 random bits, so a plain hash is enough."""
    return sha256(presented.secret.encode()).hexdigest()


def same_secret(presented: Presented, stored_hash: str) -> bool:
    """Compares in a time that says nothing about where they differ."""
    return hmac.compare_digest(secret_hash(presented), stored_hash)
