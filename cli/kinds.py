"""The kinds of objects and the words that people use for them, as in kubectl. Pure."""

from __future__ import annotations

from dataclasses import dataclass

import click


@dataclass(frozen=True, slots=True)
class Kind:
    name: str
    """As in a manifest: `NetworkPolicy`."""
    plural: str
    short: tuple[str, ...] = ()
    namespaced: bool = True

    @property
    def words(self) -> tuple[str, ...]:
        return (self.name.lower(), self.plural, *self.short)


KINDS = (
    Kind("Namespace", "namespaces", ("ns",), namespaced=False),
    Kind("Node", "nodes", ("no",), namespaced=False),
    Kind("Pod", "pods", ("po",)),
    Kind("Deployment", "deployments", ("deploy",)),
    Kind("ServiceAccount", "serviceaccounts", ("sa",)),
    Kind("Service", "services", ("svc",)),
    Kind("EndpointSlice", "endpointslices", ("eps",)),
    Kind("NetworkPolicy", "networkpolicies", ("netpol",)),
    Kind("MeshPolicy", "meshpolicies", ("mp",)),
    Kind("MeshConfig", "meshconfigs", ("mc",), namespaced=False),
)
_BY_WORD = {word: kind for kind in KINDS for word in kind.words}
ALL = tuple(_BY_WORD[word] for word in ("pod", "service", "deployment", "networkpolicy", "meshpolicy"))
"""What `get all` shows."""


def find(word: str) -> Kind:
    """One kind by any of its words; `networkpolicies.networking.k8s.io` is understood too."""
    kind = _BY_WORD.get(word.lower().partition(".")[0])
    if kind is None:
        known = ", ".join(f"{kind.plural} ({', '.join(kind.short)})" for kind in KINDS)
        raise click.UsageError(f"there is no kind {word!r}; the kinds are {known}")
    return kind


def find_many(words: str) -> tuple[Kind, ...]:
    """`pods`, `po,svc` or `all`."""
    if words.lower() == "all":
        return ALL
    found: list[Kind] = []
    for word in words.split(","):
        kind = find(word)
        if kind not in found:
            found.append(kind)
    return tuple(found)


def words() -> list[str]:
    """Plurals, for completion."""
    return [kind.plural for kind in KINDS]
