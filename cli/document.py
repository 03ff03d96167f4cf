"""Reads of a JSON document that never fail: what is absent or of another type reads as empty. Pure.

The documents come from the controller, which has validated them; a command that shows them must not break on a field
that a newer controller adds or leaves out.
"""

from __future__ import annotations

from collections.abc import Mapping

Json = dict[str, object]


def dig(document: object, *path: str | int) -> object:
    """The value at a path of keys and positions, or None."""
    for step in path:
        if isinstance(step, int):
            document = document[step] if isinstance(document, list) and -len(document) <= step < len(document) else None
        else:
            document = document.get(step) if isinstance(document, Mapping) else None
    return document


def text(document: object, *path: str | int, default: str = "") -> str:
    """A scalar as text."""
    value = dig(document, *path)
    if isinstance(value, bool):
        return "true" if value else "false"
    return str(value) if isinstance(value, str | int | float) and value != "" else default


def number(document: object, *path: str | int) -> int:
    value = dig(document, *path)
    return int(value) if isinstance(value, int | float) else 0


def table(document: object, *path: str | int) -> Json:
    value = dig(document, *path)
    return {str(key): item for key, item in value.items()} if isinstance(value, Mapping) else {}


def rows(document: object, *path: str | int) -> list[Json]:
    """A list of tables; members of another type are left out."""
    value = dig(document, *path)
    return [table(item) for item in value if isinstance(item, Mapping)] if isinstance(value, list) else []


def texts(document: object, *path: str | int) -> list[str]:
    """A list of scalars as texts."""
    value = dig(document, *path)
    return [text([item], 0) for item in value] if isinstance(value, list) else []


def key_of(document: object) -> str:
    """`namespace/name` of a Kubernetes-shaped object, or `name` where it has no namespace."""
    namespace, name = text(document, "metadata", "namespace"), text(document, "metadata", "name")
    return f"{namespace}/{name}" if namespace else name
