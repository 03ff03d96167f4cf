"""Reads of a document never fail."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from cli.document import dig, key_of, number, rows, table, text, texts

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("ab"), inner, max_size=2),
    max_leaves=8,
)
PATHS = st.lists(st.sampled_from(["a", "b", 0, 1]), max_size=3)


@given(JSON, PATHS)
def test_nothing_raises_whatever_the_document(document: object, path: list[str | int]) -> None:
    assert isinstance(text(document, *path), str)
    assert isinstance(number(document, *path), int)
    assert isinstance(table(document, *path), dict)
    assert all(isinstance(row, dict) for row in rows(document, *path))
    assert all(isinstance(entry, str) for entry in texts(document, *path))


def test_paths_go_through_tables_and_lists() -> None:
    document = {"a": [{"b": 7}], "yes": True, "none": None}
    assert dig(document, "a", 0, "b") == 7
    assert text(document, "a", 0, "b") == "7"
    assert text(document, "yes") == "true"
    assert text(document, "none", default="-") == "-"
    assert dig(document, "a", 5) is None


def test_a_key_has_a_namespace_only_where_there_is_one() -> None:
    assert key_of({"metadata": {"namespace": "shop", "name": "a"}}) == "shop/a"
    assert key_of({"metadata": {"name": "node-1"}}) == "node-1"
