"""Names of reserved identities."""

from __future__ import annotations

from cli.reserved import reserved_name


def test_numbers_with_a_fixed_meaning_have_names() -> None:
    assert [reserved_name(number) for number in (0, 2, 3, 256)] == ["unknown", "world", "remote-node", ""]
