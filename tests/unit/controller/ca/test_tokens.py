"""Join tokens: read back, compared, never shown."""

from __future__ import annotations

import pytest

from controller.ca import tokens


def test_what_is_made_can_be_read_without_its_last_part() -> None:
    presented, text = tokens.make("c" * 64)
    name, secret, ca_hash = text.split(".")
    assert tokens.read(f"{name}.{secret}") == presented
    assert ca_hash == "c" * 64
    assert tokens.same_secret(presented, tokens.secret_hash(presented))


def test_two_tokens_share_nothing() -> None:
    (first, _), (second, _) = tokens.make("c"), tokens.make("c")
    assert first.secret != second.secret
    assert not tokens.same_secret(first, tokens.secret_hash(second))


@pytest.mark.parametrize("text", ["", "abc", "abcdef.short", f"ABCDEF.{'a' * 32}", f"abcdef.{'a' * 32}.{'c' * 64}"])
def test_what_is_no_token_is_none(text: str) -> None:
    assert tokens.read(text) is None


def test_the_secret_is_not_printed() -> None:
    presented, _ = tokens.make("c")
    assert presented.secret not in repr(presented)
