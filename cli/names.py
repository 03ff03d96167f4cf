"""How objects are named on the command line: `NS/NAME`, or `NAME` with `-n NS`. Pure."""

from __future__ import annotations

from collections.abc import Sequence

import click

from cli.kinds import Kind, find

DEFAULT_NAMESPACE = "default"


def split(reference: str, namespace: str | None) -> tuple[str, str]:
    """(namespace, name) of something that lives in a namespace."""
    before, slash, after = reference.rpartition("/")
    if not slash:
        if not reference:
            raise click.UsageError("an empty name; write NS/NAME, or NAME with -n NS")
        return namespace or DEFAULT_NAMESPACE, reference
    if not before or not after or "/" in before:
        raise click.UsageError(f"{reference!r} is no name; write NS/NAME, or NAME with -n NS")
    if namespace is not None and namespace != before:
        raise click.UsageError(f"{reference!r} names namespace {before}, but -n says {namespace}")
    return before, after


def placed(who: str, namespace: str | None) -> str:
    """An end of a flow: a bare name gets its namespace; addresses, CIDRs, NS/NAME and DNS names stay as they are."""
    if "/" in who or "." in who or ":" in who or not who:
        return who
    return f"{namespace or DEFAULT_NAMESPACE}/{who}"


def of_kind(kind: Kind, reference: str, namespace: str | None) -> tuple[str, str]:
    """(namespace, name) of an object; the namespace is empty for a kind that has none."""
    if kind.namespaced:
        return split(reference, namespace)
    if "/" in reference:
        raise click.UsageError(f"a {kind.name} has no namespace; write {reference.rpartition('/')[2]!r} alone")
    return "", reference


def objects(words: Sequence[str], namespace: str | None) -> list[tuple[Kind, str, str]]:
    """(kind, namespace, name) of each object of `KIND NAME...` or `KIND/NAME...`, both as in kubectl."""
    first, *others = words
    if "/" not in first:
        kind = find(first)
        return [(kind, *of_kind(kind, reference, namespace)) for reference in others]
    found = []
    for word in words:
        before, slash, reference = word.partition("/")
        if not slash:
            raise click.UsageError(f"{word!r}: write KIND/NAME for each object, or KIND NAME...")
        kind = find(before)
        found.append((kind, *of_kind(kind, reference, namespace)))
    return found


def missing(kind: str, namespace: str, name: str) -> str:
    """The sentence for an object that is not there."""
    return f"there is no {kind} {f'{namespace}/{name}' if namespace else name}"
