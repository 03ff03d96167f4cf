"""The words by which kinds are asked for: `NetworkPolicy`, `networkpolicies`, `netpol`."""

from __future__ import annotations

from controller.errors import NoSuchThing
from mesh.objects.kinds import KINDS

ALL = "all"
DEFAULT_NAMESPACE = "default"
_SHORT = {
    "ns": "Namespace", "no": "Node", "po": "Pod", "sa": "ServiceAccount", "svc": "Service", "deploy": "Deployment",
    "eps": "EndpointSlice", "netpol": "NetworkPolicy", "mp": "MeshPolicy", "mc": "MeshConfig",
}  # fmt: skip


def _plural(kind: str) -> str:
    word = kind.lower()
    return f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"


_BY_WORD = {
    **_SHORT,
    **{kind.lower(): kind for kind in KINDS},
    **{_plural(kind): kind for kind in KINDS},
}


def kind_of(word: str) -> str:
    """The kind that a word means. NoSuchThing lists those there are."""
    kind = _BY_WORD.get(word.lower())
    if kind is None:
        raise NoSuchThing(f"there is no kind {word[:80]!r}; the kinds are {', '.join(KINDS)}")
    return kind


def kinds_of(word: str) -> tuple[str, ...]:
    """The same, and every kind for `all`."""
    return tuple(KINDS) if word.lower() == ALL else (kind_of(word),)


def id_of(word: str, namespace: str, name: str) -> tuple[str, str, str]:
    """The object that a person names."""
    kind = kind_of(word)
    return kind, (namespace or DEFAULT_NAMESPACE) if KINDS[kind].namespaced else "", name
